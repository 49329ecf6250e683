"""What judging costs a server: CPU time of one verified chain or answer, of this process alone.

    PYTHONPATH=tests python tools/attestation_time.py [FOLDER]

FOLDER holds chains of real phones as PEM (`testdata` of android/keyattestation); what does not hold in it is
passed over. Each sample is verified 10 times to warm up and 100 times measured, by `time.process_time`, so
that what else runs on the machine counts little. Printed are the median, the slowest hundredth, and the most
that one took.
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

WARMING, ROUNDS = 10, 100


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
    taken = sorted(1000 * seconds for each in verifications for seconds in measured(each))
    middle, slow = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
    print(
        f"{what} ({len(verifications)}): median {middle:.2f} ms, 99 % {slow:.2f} ms, most {taken[-1]:.2f} ms"
    )


def measured(verify: Callable[[], object]) -> list[float]:
    """Returns the CPU seconds of each round."""
    for _ in range(WARMING):
        verify()
    taken = []
    for _ in range(ROUNDS):
        before = time.process_time()
        verify()
        taken.append(time.process_time() - before)
    return taken


if __name__ == "__main__":
    main()
