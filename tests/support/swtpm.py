"""A software TPM of one's own: manufactured once, started and stopped like a device's."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from support.needs import missing, require

TRANSIENT = 0x80000000

# Processes that test side by side keep out of each other's way, those of another suite as well.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = itertools.count(21_000 + 1000 * (_worker % 8) + 2 * (os.getpid() % 250), 2)


class SoftwareTpm:
    """A TPM whose state is in a folder; `start` and `stop` are power on and power off."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state"
        self._state.mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def tcti(self) -> str:
        """How the TPM is reached."""
        return f"swtpm:host=127.0.0.1,port={self._port}"

    def start(self) -> None:
        """Switches the TPM on; PCRs begin at zero."""
        for _attempt in range(10):
            if self._started():
                return
        raise RuntimeError("swtpm did not start")

    def _started(self) -> bool:
        # Somebody else's process may take a port between the look at it and the start.
        self._port = _free_pair()
        server, control = (f"type=tcp,port={port}" for port in (self._port, self._port + 1))
        command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self._state}", "--server", server]
        command += ["--ctrl", control, "--flags", "not-need-init,startup-clear"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return _answers(self._port + 1, self._process)

    def stop(self, *, clean: bool = True) -> None:
        """Switches the TPM off, by default after telling it, as an operating system does."""
        if clean:
            self.shut_down()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def restart(self, *, clean: bool = True) -> None:
        """Switches the TPM off and on."""
        self.stop(clean=clean)
        self.start()

    def shut_down(self) -> None:
        """Tells the TPM that power will go, without which it counts a failed authorisation."""
        from tpm2_pytss import ESAPI, TPM2_SU

        with ESAPI(self.tcti) as esapi:
            esapi.shutdown(TPM2_SU.CLEAR)

    def extend(self, pcr: int, digest: bytes) -> None:
        """Extends a PCR of the SHA-256 bank, as booting something else would."""
        from tpm2_pytss import ESAPI, ESYS_TR, TPM2_ALG, TPML_DIGEST_VALUES, TPMT_HA, TPMU_HA

        with ESAPI(self.tcti) as esapi:
            values = TPML_DIGEST_VALUES([TPMT_HA(hashAlg=TPM2_ALG.SHA256, digest=TPMU_HA(sha256=digest))])
            esapi.pcr_extend(getattr(ESYS_TR, f"PCR{pcr}"), values)


def loaded(tcti: str) -> list[int]:
    """Returns the handles of what is loaded in the TPM."""
    from tpm2_pytss import ESAPI, TPM2_CAP

    with ESAPI(tcti) as esapi:
        answer = esapi.get_capability(TPM2_CAP.HANDLES, TRANSIENT, 16)
        handles = answer[1].data.handles
        return [int(handle) for handle in handles]


def manufacture(folder: Path) -> None:
    """Makes the state of a new TPM, with its own certification authority, below `folder`.

    Skips the test when the tools are not installed.
    """
    require("swtpm")
    require("swtpm_setup")
    try:
        import tpm2_pytss  # noqa: F401
    except ImportError:
        missing("tpm2-pytss is not installed (pip install modelkeep[tpm2])")
    state = folder / "state"
    state.mkdir(parents=True)
    configuration = _configure(folder)
    command = ["swtpm_setup", "--tpm2", "--tpmstate", str(state), "--config", str(configuration)]
    command += ["--create-ek-cert", "--ecc", "--pcr-banks", "sha256", "--logfile", str(folder / "setup.log")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def copy_of(manufactured: Path, folder: Path) -> SoftwareTpm:
    """Returns a TPM with the state of a manufactured one, below `folder`; copying is much faster."""
    tpm = SoftwareTpm(folder)
    shutil.copytree(manufactured / "state", folder / "state", dirs_exist_ok=True)
    return tpm


def _configure(folder: Path) -> Path:
    authority = folder / "authority"
    authority.mkdir()
    files = {"signingkey": "signkey.pem", "issuercert": "issuercert.pem", "certserial": "certserial"}
    lines = [f"statedir = {authority}", *(f"{name} = {authority / file}" for name, file in files.items())]
    (authority / "localca.conf").write_text("\n".join(lines) + "\n")
    (authority / "localca.options").write_text(
        "--platform-manufacturer modelkeep\n--platform-version 1\n--platform-model test\n"
    )
    configuration = folder / "setup.conf"
    configuration.write_text(
        "create_certs_tool = /usr/bin/swtpm_localca\n"
        f"create_certs_tool_config = {authority / 'localca.conf'}\n"
        f"create_certs_tool_options = {authority / 'localca.options'}\n"
        "active_pcr_banks = sha256\n"
    )
    return configuration


def _free_pair() -> int:
    # The library finds the control port as the next one, so that two in a row must be free.
    for port in itertools.islice(_ports, 500):
        try:
            with socket.socket() as first, socket.socket() as second:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
                return port
        except OSError:
            continue
    raise RuntimeError("no two free ports in a row")


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Returns whether the process answers at the port; not when another one does and this one has ended."""
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return process.poll() is None
    return False
