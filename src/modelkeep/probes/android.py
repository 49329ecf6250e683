"""An Android device at the other end of adb: what it prints of itself, which tools print at will.

Source: Android Verified Boot, "Boot flow"; the properties are set by the boot loader and the init process.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

from modelkeep.errors import UnavailableError
from modelkeep.posture.finding import Finding, claimed

# What each must be; whatever else it is, or that it is not there, is a fault.
_WANTED = {
    "ro.boot.verifiedbootstate": ("android-boot-state", "green"),
    "ro.boot.veritymode": ("android-verity-mode", "enforcing"),
    "ro.boot.flash.locked": ("android-flash-locked", "1"),
    "ro.boot.vbmeta.device_state": ("android-device-state", "locked"),
}
_DIGEST = "ro.boot.vbmeta.digest"
_PATIENCE = 30


def findings(serial: str | None = None) -> Iterator[Finding]:
    """Yields what the device's properties say.

    Args:
        serial: which device, as ``adb devices`` lists it; None if there is one only.

    Raises:
        UnavailableError: adb is not installed, or no such device answers.
    """
    adb = shutil.which("adb")
    if adb is None:
        raise UnavailableError("adb is not installed", hint="apt-get install adb")
    for name, (finding, wanted) in _WANTED.items():
        found = _property(adb, serial, name)
        yield claimed(finding, found == wanted, f"{name} is {found or 'absent'}")
    digest = _property(adb, serial, _DIGEST)
    yield claimed("android-boot-digest", digest or "absent", "compare it with boot-hash of an attestation")


def _property(adb: str, serial: str | None, name: str) -> str:
    which = [] if serial is None else ["-s", serial]
    try:
        done = subprocess.run(
            [adb, *which, "shell", "getprop", name],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise UnavailableError("adb does not answer", hint="is the device connected and unlocked?") from None
    if done.returncode:
        raise UnavailableError(
            f"adb: {done.stderr.strip()[:200]}", hint="adb devices lists what is connected"
        )
    return done.stdout.strip()
