"""The granter: CPU for each request, and memory, at some number of devices.

    python -m benches.granter 10000 100000

Software keys, everything in a folder of its own. Each number is measured in a process of its own: first
grants, then renewals of the same devices after eleven days.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelkeep.device.state_place import FOLDER_VARIABLE
from modelkeep.granter import policy_file
from modelkeep.granter.granter import run_granter
from modelkeep.granter.request import Request
from modelkeep.granter.roster import Roster
from modelkeep.granter.roster_device import RosterDevice
from modelkeep.grants.hpke import P256, HpkeRecipient
from modelkeep.key_purpose import Purpose
from modelkeep.keys.file import FileStore
from modelkeep.model import read_model
from modelkeep.sealing import seal
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.verifier import Verifier

MODEL = "bench/model"
DAY = 86_400
POLICY = """
format = "modelkeep/granter-policy"
version = 1
origin = "bench"
state = "state"
first-grants-a-day = 100000000
bundles = ["model.keep"]
[roster]
file = "roster.json"
operators = ["operator.pub"]
"""


def main() -> None:
    """Prints a line for each number of devices."""
    for count in map(int, sys.argv[1:] or ["10000", "100000"]):
        with tempfile.TemporaryDirectory() as folder:
            print(f"{count:,} devices", flush=True)
            requests = prepare(Path(folder), count)
            for what, days in (("first grants", 0), ("renewals", 11)):
                for name, data in requests.items():
                    (Path(folder) / "requests" / name).write_bytes(data)
                done = subprocess.run(
                    [sys.executable, "-m", "benches.granter", "--run", folder, str(days)],
                    capture_output=True, check=True, text=True,
                    env=os.environ | {FOLDER_VARIABLE: f"{folder}/device"},
                )  # fmt: skip
                facts = json.loads(done.stdout)
                print(
                    f"  {what}: {facts['issued']:,} grants, {facts['cpu']:.1f} s of CPU, "
                    f"{facts['wall']:.1f} s, {facts['memory']:.0f} MB",
                    flush=True,
                )


def prepare(folder: Path, count: int) -> dict[str, bytes]:
    """Makes everything but the requests, which it returns by their names."""
    for name, kind in (("publisher", "signing"), ("issuer", "signing"), ("operator", "operator")):
        (folder / f"{name}.pub").write_bytes(create_signing_key(folder / f"{name}.pem", kind))
    for name in ("requests", "answers"):
        (folder / name).mkdir()
    (folder / "model.bin").write_bytes(b"a model")
    admin = FileStore().create(str(folder / "admin.pem"), None)
    seal(
        read_model(folder / "model.bin", format="files"),
        model=MODEL,
        admins=[admin],
        signer=folder / "publisher.pem",
        grant_signer=folder / "issuer.pem",
    ).save(folder / "model.keep")
    (folder / "granter.toml").write_text(POLICY)
    keys = [_recipient(number) for number in range(count)]
    roster = Roster.of(1, int(time.time()) + 1000 * DAY, [RosterDevice.of(each, [MODEL]) for each in keys])
    operator = Signer.from_pem(folder / "operator.pem", purpose=Purpose.OPERATOR)
    Roster(roster.envelope.signed(operator), roster.devices).write(folder / "roster.json", force=True)
    return {f"{each.device_id}.request.json": Request(each, (MODEL,)).to_bytes() for each in keys}


def _recipient(number: int) -> HpkeRecipient:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return HpkeRecipient(
        P256, key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), f"d{number:07}"
    )


def run(folder: Path, days: int) -> None:
    """Lets a granter look once, and prints what that took."""
    cpu, wall, now = time.process_time(), time.monotonic(), time.time() + days * DAY
    tally = run_granter(
        folder / "requests",
        folder / "answers",
        policy_file.read(folder / "granter.toml"),
        identity=str(folder / "admin.pem"),
        grant_signer=folder / "issuer.pem",
        verifier=Verifier(folder / "publisher.pub", model=MODEL),
        clock=lambda: now,
    )
    facts = {
        "issued": tally.issued,
        "cpu": time.process_time() - cpu,
        "wall": time.monotonic() - wall,
        "memory": _most_memory(),
    }
    print(json.dumps(facts))


def _most_memory() -> float:
    """Returns the most that this process held, in megabytes."""
    # Not getrusage, which counts what the process was that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
