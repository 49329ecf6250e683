"""Hints in the words of a shell: errors are written for whoever calls the library."""

from __future__ import annotations

WORDS = {
    "`session.contract`": "`modelkeep inspect BUNDLE -k KEY`",
    "pass certificates through CertificateRoots": "certificates go with --subject, to verify and run",
    "then add its key or root to the verifier": "then pass its key or root with -t",
    "; in Python, pass `passphrase`": "",
    "name at least one recipient": "pass -r with a device's public line, or a file of them",
    "open_files gives other programs a path to it": "programs in Python get a path to it, by open_files",
    "pass signer= as well": "pass -s as well",
    "pass grant_signer= as well": "pass --grant-signer as well",
    "open_files gives other programs paths to them": "programs in Python get paths to them, by open_files",
    "pass module=, or use `native`": "a program in Python brings the module",
    "open it again, with a longer open_timeout": "try again when this machine has less to do",
    "raise `output_limit`": "a program in Python allows more: ProcessIsolation(output_limit=...)",
    "leave `isolation` out": "leave --isolated out",
    "open the model without `isolation`": "leave --isolated out",
}


def in_a_shell(hint: str) -> str:
    """Returns a hint as somebody at a shell can follow it."""
    for python, shell in WORDS.items():
        hint = hint.replace(python, shell)
    return hint
