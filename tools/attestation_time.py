"""What judging costs a server: CPU time of one verified chain or answer, of this process alone.

    PYTHONPATH=tests python tools/attestation_time.py [FOLDER]

FOLDER holds chains of real phones as PEM (`testdata` of android/keyattestation); what does not hold in it is
passed over. Each sample is verified 10 times to warm up and 500 times measured, by `time.process_time`.
Printed are the median, the slowest hundredth, and the most that one took; and the same of a fixed sum that is
added up between any two verifications. On a virtual machine that others share, time that they take is counted
as ours: what the sum shows as well says nothing of verifying.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fuzz import posture_readers
from fuzz.posture_readers import ANDROID_NOW, ASKED, NOW, PHONE, PHONE_ASKED, TPM
from modelkeep.errors import KeepError
from modelkeep.posture.android.chain import verify_chain
from modelkeep.posture.android.revocations import Revocations
from modelkeep.posture.judging import Anchors, judge
from modelkeep.posture.policy import UnsafeNoPolicy

WARMING, ROUNDS = 10, 500
TERMS = 40_000


def main() -> None:
    documents = posture_readers.good_documents()
    phones = Anchors(android_roots={PHONE.fingerprint}, revocations=Revocations(frozenset()))
    (tpm, *_), (phone, *_) = documents["evidence of a tpm"], documents["evidence of a phone"]
    show("answer of a TPM", [lambda: judge(tpm, ASKED, TPM.anchors, UnsafeNoPolicy(), NOW)])
    show("answer of a phone", [lambda: judge(phone, PHONE_ASKED, phones, UnsafeNoPolicy(), ANDROID_NOW)])
    if len(sys.argv) > 1:
        show("chains of real phones", chains(Path(sys.argv[1])))


def chains(folder: Path) -> list[Callable[[], object]]:
    """Returns the verification of each chain that holds."""
    found = []
    for path in sorted(folder.glob("**/*.pem")):
        chain = x509.load_pem_x509_certificates(path.read_bytes())
        encoded = [each.public_bytes(Encoding.DER) for each in chain]
        now = max(int(each.not_valid_before_utc.timestamp()) for each in chain[1:]) + 1
        try:
            verify_chain(encoded, now, revocations=None)
        except KeepError:
            continue
        found.append(lambda encoded=encoded, now=now: verify_chain(encoded, now, revocations=None))
    return found


def show(what: str, verifications: list[Callable[[], object]]) -> None:
    """Measures each verification, and prints what they took in milliseconds."""
    rounds = [each for verification in verifications for each in measured(verification)]
    print(f"{what} ({len(verifications)}): {in_words([verifying for verifying, _ in rounds])}")
    print(f"    a sum beside it: {in_words([adding for _, adding in rounds])}")


def in_words(seconds: list[float]) -> str:
    taken = sorted(1000 * each for each in seconds)
    middle, slow = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
    return f"median {middle:.2f} ms, 99 % {slow:.2f} ms, most {taken[-1]:.2f} ms"


def measured(verify: Callable[[], object]) -> list[tuple[float, float]]:
    """Returns the CPU seconds of each round: of verifying, and of adding up."""
    for _ in range(WARMING):
        verify()
    return [(cpu_seconds(verify), cpu_seconds(add_up)) for _ in range(ROUNDS)]


def cpu_seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def add_up() -> int:
    return sum(number * number for number in range(TERMS))


if __name__ == "__main__":
    main()
