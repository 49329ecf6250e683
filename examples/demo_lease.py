"""Leases end to end: five devices ask, a granter decides, one is stolen, an attacker has the mailboxes.

Two of the devices have a TPM: one is honest, one shows what another TPM signed. Time is played: the granter
and the devices are told which day it is. Needs the extras onnx and tpm2, and the program `swtpm_setup`:
`make demo-lease` sees to them. Ends with a status other than zero when anything is not as it should be.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from demo_update import ONNX, X, free_pair, wait_for
from narration import check, conclude, expect, row, title

import modelkeep as mk

MODEL = "demo/scale"
DAY = 86_400
SOFTWARE, HONEST, LYING = ("pi-1", "pi-2", "pi-3"), "tpm-1", "tpm-2"
POLICY = f"""
format = "modelkeep/granter-policy"
version = 1
origin = "demo"
state = "granter"
bundles = ["model.keep"]

[roster]
file = "roster.json"
operators = ["operator-1.pub", "operator-2.pub"]
threshold = 2

[[prove]]
groups = ["field"]
policy = "posture.toml"
tpm-makers = ["{HONEST}.maker.pem", "{LYING}.maker.pem"]
"""
POSTURE = """
format = "modelkeep/posture-policy"
version = 1
[prove]
key-protection = "tpm"
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="modelkeep-demo-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        os.environ["MODELKEEP_STATE"] = str(folder / "states")
        tpms = {each: stack.enter_context(tpm(folder, each)) for each in (HONEST, LYING)}
        stack.enter_context(contextlib.chdir(folder))
        demo = Demo(folder, tpms)
        demo.begin()
        demo.first_day()
        demo.attacker()
        demo.week_without_granter()
        demo.struck_device()
        demo.journal()
    return conclude()


class Demo:
    """A publisher, two operators, a granter, five devices and two mailboxes, all of them in one folder."""

    def __init__(self, folder: Path, tpms: dict[str, str]) -> None:
        self.folder, self.start = folder, int(time.time())
        self.requests, self.answers = folder / "requests", folder / "answers"
        self.keys = {name: f"file:{name}.pem" for name in SOFTWARE}
        self.keys |= {name: f"tpm2:{name}.tpm?tcti={tcti}" for name, tcti in tpms.items()}

    def begin(self) -> None:
        title("A roster of five devices, signed by two operators; a bundle that is granted on leases alone")
        for each in (self.requests, self.answers):
            each.mkdir()
        for name in ("publisher", "issuer"):
            public(name, "signing")
        for name in ("operator-1", "operator-2"):
            public(name, "operator")
        for key in ("file:admin.pem", *self.keys.values()):
            mk.create_key(key)
        for name in self.keys:
            self.enlist(name)
        self.sign_roster()
        run("roster", "show", "roster.json", "--operator", "operator-1.pub", "--operator", "operator-2.pub")
        self.seal()
        (self.folder / "granter.toml").write_text(POLICY)
        (self.folder / "posture.toml").write_text(POSTURE)

    def enlist(self, name: str) -> None:
        self.send(name, f"{name}.request.json")
        more = [] if name in SOFTWARE else ["--group", "field", "--hardware", "claimed"]
        more += ["--expires", "+900d"] if name == SOFTWARE[0] else []
        request = f"requests/{name}.request.json"
        run("roster", "add", "roster.json", "--request", request, *more, quiet=True)

    def sign_roster(self) -> None:
        for operator in ("operator-1.pem", "operator-2.pem"):
            run("roster", "sign", "roster.json", "-s", operator, "--yes", quiet=True)

    def seal(self) -> None:
        model = self.folder / "model"
        model.mkdir()
        (model / "model.onnx").write_bytes(ONNX.replace(bytes(16), struct.pack("<f", 3.0) * 4))
        (model / "weights.bin").write_bytes(bytes(16))
        mk.seal(
            model,
            model=MODEL,
            entry="model.onnx",
            admins=["file:admin.pem"],
            signer=mk.Signer.from_pem("publisher.pem"),
            grant_signer="issuer.pem",
            leased=True,
        ).save("model.keep")

    def first_day(self) -> None:
        title("Day 0: devices with software keys are on the roster; those with a TPM are asked first")
        self.granter(0)
        for name in (HONEST, LYING):
            self.send(name, f"{name}.request.json", question=self.question(name))
        self.lie()
        self.granter(0)
        for line in Path("granter/journal.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if entry["event"] == "refused":
                row(entry["name"], f"refused: {entry['why']}")
        for name in (*SOFTWARE, HONEST):
            self.install(name)
            check(self.opens(name, 0), f"{name} should open")
        check(not self.grants(LYING).exists(), f"{LYING} was granted something")

    def lie(self) -> None:
        """Puts the attesting key and the quote of the honest TPM into the answer of the other one."""
        honest, lying = (self.requests / f"{name}.request.json" for name in (HONEST, LYING))
        theirs, own = (json.loads(path.read_bytes()) for path in (honest, lying))
        for part in ("attester", "quoted", "certified", "pcrs"):
            own["evidence"]["tpm2"][part] = theirs["evidence"]["tpm2"][part]
        write_json(lying, own)

    def attacker(self) -> None:
        title("An attacker has the mailboxes: may read, write, replace and remove everything there")
        mk.create_key("file:eve.pem")
        self.keys["eve"] = "file:eve.pem"
        self.plant()
        tally = self.granter(1)
        check((tally.issued, self.grants("eve").exists()) == (0, False), "the attacker was granted something")
        row("planted requests", f"{tally.refusals} refused, {tally.unreadable} no requests, none granted")
        check((self.folder / "admin.pem").exists(), "a link led out of the mailbox")
        self.open_with_others_grants()
        self.roster_of_ones_own()

    def plant(self) -> None:
        """Plants requests: of a key of hers, in a device's name, with its proof, repeated; and a link."""
        self.send("eve", "eve.request.json")
        self.send("eve", "named.request.json", device_id="pi-1")
        own = json.loads((self.requests / "eve.request.json").read_bytes())
        proof = self.folder / f"kept-{HONEST}.json"
        borrowed = json.loads(proof.read_bytes()) | {"recipient": own["recipient"]}
        write_json(self.requests / "borrowed.request.json", borrowed)
        (self.requests / "link.request.json").symlink_to(self.folder / "admin.pem")
        shutil.copy(proof, self.requests / "repeated.request.json")

    def open_with_others_grants(self) -> None:
        shutil.copy(self.grants("pi-1"), self.grants("eve"))
        expect("pi-1's grant", mk.NotForThisDeviceError, lambda: self.open_bundle("eve"))
        self.grants("eve").unlink()

    def roster_of_ones_own(self) -> None:
        kept = (self.folder / "roster.json").read_bytes()
        request = "requests/eve-again.request.json"
        self.send("eve", "eve-again.request.json")
        run("roster", "add", "roster.json", "--request", request, quiet=True)
        expect("an unsigned roster", mk.SignatureError, lambda: self.granter(1))
        (self.folder / "roster.json").write_bytes(kept)
        self.granter(1)

    def week_without_granter(self) -> None:
        title("Days 10 to 17: leases are due from day 10 on, and the granter is down for a week")
        for name in (*SOFTWARE, HONEST):
            self.send(name, f"{name}.request.json")
        for day in range(10, 17):
            check(all(self.opens(name, day) for name in (*SOFTWARE, HONEST)), f"day {day}: a device stopped")
        row("all devices", "open on each of these days")
        run("roster", "remove", "roster.json", "pi-2", quiet=True)
        self.sign_roster()
        row("pi-2", "is stolen on day 12, and taken off the roster")

    def struck_device(self) -> None:
        title("Day 17: the granter is back and renews; pi-2's lease ends with day 30")
        self.granter(17)
        self.send(HONEST, f"{HONEST}.request.json", question=self.question(HONEST))
        self.granter(17)
        for name in ("pi-1", "pi-3", HONEST):
            self.renew(name, 17)
        self.send("pi-2", "pi-2.request.json")
        self.granter(20)
        expect("pi-2 renews", mk.RefusedError, lambda: self.renew("pi-2", 20))
        check(self.opens("pi-2", 30), "a lease counts to its end")
        expect("pi-2 on day 31", mk.ExpiredError, lambda: self.open("pi-2", 31))
        for name in ("pi-1", "pi-3", HONEST):
            check(self.opens(name, 46) and not self.opens(name, 48), f"{name} has 30 days from day 17 on")
            row(f"{name} on day 46", "opens")

    def journal(self) -> None:
        title("The journal: every line follows from the one before, and every grant has its line")
        head = "answers/journal.json"
        run("granter", "audit", "granter", "--head", head, "--signer", "issuer.pub", "--answers", "answers")
        journal = Path("granter/journal.jsonl").read_bytes()
        Path("changed.jsonl").write_bytes(journal.replace(b'"name":"pi-2"', b'"name":"pi-9"'))
        run("granter", "audit", "changed.jsonl", code=3)

    def granter(self, day: int) -> Any:
        tally = mk.run_granter(
            self.requests,
            self.answers,
            "granter.toml",
            grant_signer="issuer.pem",
            **self.access("admin", day),
            clock=lambda: float(self.start + day * DAY),
        )
        row(f"granter, day {day}", f"{tally.issued} granted, {tally.asked} asked, {tally.refusals} refused")
        return tally

    def send(self, name: str, file: str, question: Path | None = None, device_id: str = "") -> None:
        key, called = self.keys[name], device_id or name
        request = mk.enrol(key, [MODEL], question=question, device_id=called, origin="demo")
        (self.requests / file).write_bytes(request.to_bytes())
        (self.folder / f"kept-{name}.json").write_bytes(request.to_bytes())

    def question(self, name: str) -> Path:
        return self.answers / f"{self.device(name)}.question.json"

    def grants(self, name: str) -> Path:
        return self.answers / f"{self.device(name)}.grants"

    def device(self, name: str) -> str:
        with mk.Identity(self.keys[name]) as identity:
            public = getattr(identity.recipient(), "public", b"")
        return hashlib.sha256(public).hexdigest()

    def access(self, name: str, day: int) -> dict[str, Any]:
        now = float(self.start + day * DAY)
        verifier = mk.Verifier("publisher.pub", model=MODEL, clock=lambda: now)
        return {"identity": self.keys.get(name, "file:admin.pem"), "verifier": verifier}

    def install(self, name: str) -> None:
        mk.install("model.keep", f"{name}.keep", grant_file=self.grants(name), **self.access(name, 0))

    def renew(self, name: str, day: int) -> None:
        mk.renew(f"{name}.keep", grant_file=self.grants(name), **self.access(name, day))
        row(name, "renewed what it has installed; the bundle was not needed")

    def open(self, name: str, day: int) -> None:
        with mk.open(f"{name}.keep", **self.access(name, day)) as session:
            check(bool(np.all(session.run({"x": X})["y"] == X * 3)), f"{name} computes something else")

    def open_bundle(self, name: str) -> None:
        mk.open("model.keep", grant_file=self.grants(name), **self.access(name, 0)).close()

    def opens(self, name: str, day: int) -> bool:
        try:
            self.open(name, day)
        except mk.RefusedError:
            return False
        return True


def public(name: str, kind: str) -> None:
    Path(f"{name}.pub").write_bytes(mk.create_signing_key(f"{name}.pem", kind))


def run(*arguments: str, quiet: bool = False, code: int = 0) -> None:
    """Runs a command; what it says is shown unless `quiet`."""
    command = [sys.executable, "-m", "modelkeep", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(f"  $ modelkeep {' '.join(arguments[:4])} ...")
    for line in [] if quiet else [*done.stdout.splitlines(), *done.stderr.splitlines()]:
        print(f"    {line}")
    check(done.returncode == code, f"modelkeep {' '.join(arguments)} ended with {done.returncode}")


@contextlib.contextmanager
def tpm(folder: Path, name: str) -> Iterator[str]:
    """Runs a software TPM with a certificate of its own maker; yields how it is reached."""
    place = folder / f"{name}.state"
    manufacture(place, folder / f"{name}.maker.pem")
    port = free_pair()
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={place}", "--server", f"type=tcp,port={port}"]
    command += ["--ctrl", f"type=tcp,port={port + 1}", "--flags", "not-need-init,startup-clear"]
    with subprocess.Popen(command) as process:
        wait_for(port + 1)
        try:
            yield f"swtpm:host=127.0.0.1,port={port}"
        finally:
            process.kill()


def manufacture(place: Path, maker: Path) -> None:
    """Makes the state of a new TPM, and its maker, whose certificate goes into `maker`."""
    authority = place / "authority"
    authority.mkdir(parents=True)
    files = {"signingkey": authority / "key.pem", "issuercert": maker, "certserial": authority / "serial"}
    lines = [f"statedir = {authority}", *(f"{name} = {path}" for name, path in files.items())]
    (place / "ca.conf").write_text("\n".join(lines) + "\n")
    (place / "ca.options").write_text(
        "--platform-manufacturer demo\n--platform-version 1\n--platform-model demo\n"
    )
    (place / "setup.conf").write_text(
        f"create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = {place / 'ca.conf'}\n"
        f"create_certs_tool_options = {place / 'ca.options'}\nactive_pcr_banks = sha256\n"
    )
    command = ["swtpm_setup", "--tpm2", "--tpmstate", str(place), "--config", str(place / "setup.conf")]
    subprocess.run([*command, "--create-ek-cert", "--ecc"], check=True, stdout=subprocess.DEVNULL)


def write_json(path: Path, value: object) -> None:
    """Writes a document as it has to be: in order, without blanks."""
    path.write_text(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())
