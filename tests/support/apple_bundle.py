"""A signed application with a compiled model among its resources, and a framework within it."""

from __future__ import annotations

import hashlib
import plistlib
from pathlib import Path
from typing import Any

from support.apple_signer import AppleSigner

MODEL = "Contents/Resources/detector.mlmodelc"
FRAMEWORK = "Contents/Frameworks/Nets.framework"


def make_app(folder: Path, signer: AppleSigner, **options: Any) -> Path:
    """Writes an application into `folder` and signs it; returns its path."""
    app = folder / "Sensor.app"
    write(app, "Contents/PkgInfo", b"APPL????")
    write(app, f"{MODEL}/coremldata.bin", b"metadata")
    write(app, f"{MODEL}/weights/weight.bin", b"weights" * 1000)
    write(app, "Contents/Resources/icon.icns", b"icon")
    (app / "Contents/Resources/icon-link").symlink_to("icon.icns")
    helper = signer.sign(b"helper" * 900, identifier="com.acme.helper")
    write(app, "Contents/MacOS/helper", helper)
    nested = {
        "MacOS/helper": cdhash_of(helper, signer),
        "Frameworks/Nets.framework": make_framework(app / FRAMEWORK, signer),
    }
    sign_app(app, signer, nested, **options)
    return app


def make_framework(folder: Path, signer: AppleSigner) -> bytes:
    """Writes and signs a framework; returns what names its code."""
    info = plistlib.dumps({"CFBundleExecutable": "Nets"})
    resource = b"labels"
    files = {
        "Resources/Info.plist": {"hash2": hashlib.sha256(info).digest()},
        "Resources/labels.txt": {"hash2": hashlib.sha256(resource).digest()},
    }
    listed = plistlib.dumps({"files2": files})
    code = signer.sign(b"nets" * 900, identifier="com.acme.nets", special={1: info, 3: listed})
    version = folder / "Versions" / "A"
    write(version, "Resources/Info.plist", info)
    write(version, "Resources/labels.txt", resource)
    write(version, "_CodeSignature/CodeResources", listed)
    write(version, "Nets", code)
    (folder / "Versions/Current").symlink_to("A")
    for name in ("Nets", "Resources"):
        (folder / name).symlink_to(f"Versions/Current/{name}")
    from modelkeep.posture.apple.code import verify_code
    from support.apple_signer import NOW

    signed = verify_code(memoryview(code), NOW, info=info, resources=listed, roots=signer.roots)
    return signed.cdhashes[0]


def sign_app(app: Path, signer: AppleSigner, nested: dict[str, bytes], **options: Any) -> None:
    """Lists the resources of an application and signs its code over them."""
    info = plistlib.dumps({"CFBundleExecutable": "Sensor", "CFBundleIdentifier": "com.acme.app"})
    write(app, "Contents/Info.plist", info)
    listed = plistlib.dumps({"files": {}, "files2": _entries(app / "Contents", nested), "rules2": {}})
    write(app, "Contents/_CodeSignature/CodeResources", listed)
    write(app, "Contents/MacOS/Sensor", signer.sign(special={1: info, 3: listed}, **options))


def cdhash_of(code: bytes, signer: AppleSigner) -> bytes:
    """Returns what names some signed code."""
    from modelkeep.posture.apple.code import verify_code
    from support.apple_signer import NOW

    return verify_code(memoryview(code), NOW, roots=signer.roots).cdhashes[0]


def write(folder: Path, name: str, content: bytes) -> None:
    """Writes a file, and the folders above it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _entries(contents: Path, nested: dict[str, bytes]) -> dict[str, Any]:
    entries: dict[str, Any] = {name: {"cdhash": each, "requirement": ""} for name, each in nested.items()}
    for path in sorted((contents / "Resources").rglob("*")):
        name = path.relative_to(contents).as_posix()
        if path.is_symlink():
            entries[name] = {"symlink": str(path.readlink())}
        elif path.is_file():
            entries[name] = {"hash2": hashlib.sha256(path.read_bytes()).digest()}
    return entries
