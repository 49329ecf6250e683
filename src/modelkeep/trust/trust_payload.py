"""What a trust file says, as canonical JSON. Source: spec/trust-v1.md, "Form"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from modelkeep import canonical, public_key
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import UsageError
from modelkeep.record import Record
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust import model_place
from modelkeep.trust.publisher import Publisher, Who
from modelkeep.trust.roots_document import RootsName
from modelkeep.trust.sigstore_signer import SigstoreSigner

if TYPE_CHECKING:
    from cryptography import x509

    from modelkeep.trust.trust_file import TrustFile

FORMAT, VERSION = "modelkeep/trust", 1
MOST_PUBLISHERS, MOST_REVOKED, MOST_FLOORS = 1024, 10_000, 10_000
MOST_PATTERNS = 1024
MOST_AUTHORITIES = 16
LARGEST_SIGSTORE_ROOT = 2**18

_FINGERPRINT_BYTES, _BUNDLE_BYTES = 32, 16
_LARGEST_PEM = 1024
_LARGEST_CERTIFICATE = 2**16


def encode(trust: TrustFile) -> bytes:
    """Returns the payload."""
    return canonical.encode(
        {
            "format": FORMAT,
            "version": VERSION,
            "number": trust.number,
            "expires": trust.expires,
            "publishers": [_publisher_to_json(publisher) for publisher in trust.publishers],
            "revoked": {
                "keys": sorted(trust.revoked_keys),
                "bundles": sorted(bundle.hex() for bundle in trust.revoked_bundles),
            },
            "void": sorted(bundle.hex() for bundle in trust.void),
            "floors": [model_place.to_json(model, floor) for model, floor in sorted(trust.floors.items())],
            "authorities": [authority.public_bytes(Encoding.PEM).decode() for authority in trust.authorities],
        }
        | ({"sigstore_root": trust.sigstore_root} if trust.sigstore_root else {})
        | _roots_to_json(trust.named_roots)
    )


def decode(payload: bytes) -> dict[str, Any]:
    """Returns the attributes of the trust file that a payload describes.

    Raises:
        MalformedError: not such a payload.
        UnsupportedVersionError: made by a newer version.
    """
    with Record(canonical.decode(payload, "trust file"), "trust file") as record:
        record.check_format(FORMAT, VERSION)
        with record.object("revoked") as revoked:
            keys = _ascending(revoked, "keys", _FINGERPRINT_BYTES)
            bundles = _ascending(revoked, "bundles", _BUNDLE_BYTES)
        return {
            "number": record.integer("number"),
            "expires": record.integer("expires", highest=LATEST_TIME),
            "publishers": _publishers(record),
            "revoked_keys": frozenset(key.hex() for key in keys),
            "revoked_bundles": frozenset(bundles),
            "void": frozenset(_ascending(record, "void", _BUNDLE_BYTES)),
            "floors": _floors(record),
            "authorities": _authorities(record),
            "sigstore_root": _sigstore_root(record),
            "named_roots": _roots(record),
        }


def _roots_to_json(named: RootsName | None) -> dict[str, Any]:
    return {} if named is None else {"roots": {"set": named.set.hex(), "number": named.number}}


def _roots(record: Record) -> RootsName | None:
    if "roots" not in record:
        return None
    with record.object("roots") as roots:
        return RootsName(roots.hexadecimal("set", _FINGERPRINT_BYTES), roots.integer("number", lowest=1))


def _publisher_to_json(publisher: Publisher) -> dict[str, Any]:
    return _who_to_json(publisher.who) | {
        "models": list(publisher.models),
        "families": list(publisher.families),
        "not_before": publisher.not_before,
        "not_after": publisher.not_after,
    }


def _who_to_json(who: Who) -> dict[str, Any]:
    if isinstance(who, SigstoreSigner):
        return {"sigstore": {"identity": who.identity, "issuer": who.issuer}}
    return {"key": public_key.to_pem(who).decode()}


def _publishers(record: Record) -> tuple[Publisher, ...]:
    publishers = tuple(map(_publisher, record.items("publishers", longest=MOST_PUBLISHERS)))
    if "sigstore_root" not in record and any(isinstance(each.who, SigstoreSigner) for each in publishers):
        raise record.fault("sigstore_root", "is missing: identities are among the publishers")
    return publishers


def _publisher(item: object) -> Publisher:
    with Record(item, "trust file: publisher") as record:
        who = _identity(record) if "sigstore" in record else _key(record)
        models, families = _names(record, "models"), _names(record, "families")
        not_before = record.integer("not_before", highest=LATEST_TIME)
        not_after = record.integer("not_after", highest=LATEST_TIME)
        try:
            return Publisher(who, models, families, not_before, not_after)
        except UsageError as error:
            raise record.fault("models", f"is not a list of model ids and patterns: {error}") from None


def _key(record: Record) -> ec.EllipticCurvePublicKey:
    try:
        return public_key.load(record.text("key", longest=_LARGEST_PEM).encode())
    except UsageError:
        raise record.fault("key", "is not a PEM public key on a supported curve") from None


def _identity(record: Record) -> SigstoreSigner:
    try:
        with record.object("sigstore") as named:
            return SigstoreSigner(named.text("identity"), named.text("issuer"))
    except UsageError as error:
        raise record.fault("sigstore", f"is not an identity: {error}") from None


def _sigstore_root(record: Record) -> str:
    return record.text("sigstore_root", longest=LARGEST_SIGSTORE_ROOT) if "sigstore_root" in record else ""


def _names(record: Record, name: str) -> tuple[str, ...]:
    names = record.items(name, longest=MOST_PATTERNS)
    if not all(isinstance(each, str) for each in names):
        raise record.fault(name, "must list names")
    return tuple(names)


def _floors(record: Record) -> dict[str, ReleaseOrder]:
    items = record.items("floors", longest=MOST_FLOORS)
    floors = dict(model_place.from_json(each, "trust file: floor") for each in items)
    if len(floors) != len(items) or list(floors) != sorted(floors):
        raise record.fault("floors", "must name each model once, in ascending order")
    return floors


def _authorities(record: Record) -> tuple[x509.Certificate, ...]:
    texts = record.items("authorities", longest=MOST_AUTHORITIES)
    return tuple(_each(texts, record, "authorities", _certificate))


def _certificate(text: object) -> x509.Certificate:
    if not isinstance(text, str) or len(text) > _LARGEST_CERTIFICATE:
        raise UsageError("not a certificate")
    from modelkeep.trust import certificates

    (certificate,) = certificates.load(text.encode())
    return certificate


def _each(
    items: list[Any], record: Record, name: str, read: Callable[[object], x509.Certificate]
) -> Iterable[x509.Certificate]:
    for item in items:
        try:
            yield read(item)
        except (UsageError, ValueError):
            raise record.fault(name, "must list single PEM certificates") from None


def _ascending(record: Record, name: str, size: int) -> list[bytes]:
    texts = record.items(name, longest=MOST_REVOKED)
    found = [Record({"id": text}, f"trust file: {name}").hexadecimal("id", size) for text in texts]
    if found != sorted(set(found)):
        raise record.fault(name, "must be in ascending order without repetition")
    return found
