"""What people type, shown at the end of each command's help; each parses, and a test sees to it."""

from __future__ import annotations

_EXAMPLES = {
    "keys": """
modelkeep keys create file:pi-17.pem > pi-17.pub         a device's key and its public line
modelkeep keys create --kind signing publisher.pem > publisher.pub
modelkeep keys create tpm2:pi-17.tpm > pi-17.pub         a key that never leaves the TPM
modelkeep keys id fleet.txt --bundle model.keep          who has no grant yet?
modelkeep keys rotate file:pi-17.pem tpm2:pi-17.tpm model.keep -t publisher.pub
""",
    "learn": """
modelkeep learn good/*.npz --model model.onnx -o guard.json
modelkeep learn today/*.npz --at-site model.keep -k file:pi-17.pem -t publisher.pub -o site.guard
""",
    "golden": """
modelkeep golden known.npz --model model.onnx -o golden.npz
""",
    "seal": """
modelkeep seal model.onnx --model-id acme/detector -r pi-17.pub -s publisher.pem -o model.keep
modelkeep seal model.onnx -r fleet.pub --admin admin.pub -s publisher.pem --epoch 2 --release 2.0
modelkeep seal whisper/ --entry encoder.onnx --entry decoder.onnx -r pi-17.pub -s publisher.pem
modelkeep seal model.onnx -r pi-17.pub -s publisher.pem --guard guard.json --golden golden.npz --dry-run
""",
    "inspect": """
modelkeep inspect model.keep                             needs no key
modelkeep inspect model.keep -k file:pi-17.pem           also the inputs that the model takes
""",
    "verify": """
modelkeep verify model.keep -t publisher.pub --model-id acme/detector
modelkeep verify model.keep -t trust.json --trust-root roots.json
modelkeep verify installed.keep -k file:pi-17.pem -t publisher.pub
modelkeep verify firmware.bin --signature firmware.bin.sig -t release.pub
""",
    "grant": """
modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r pi-18.pub
modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r pi-18.pub --not-after +90d
modelkeep grant model.keep -k file:admin.pem -t publisher.pub --recipients fleet.txt -o fleet.grants
""",
    "enrol": """
modelkeep enrol -k tpm2:pi-17.tpm --model acme/detector -o request.json
modelkeep enrol -k tpm2:pi-17.tpm --model acme/detector --question question.json -o answer.json
modelkeep enrol -k file:new.pem --replaces file:pi-17.pem --model acme/detector -o request.json
""",
    "roster": """
modelkeep roster add roster.json -r pi-17.pub --model acme/* --group field --expires +180d
modelkeep roster sign roster.json -s operator.pem --yes
modelkeep roster show roster.json --operator operator.pub
""",
    "granter": """
modelkeep granter --requests in --grants out --policy p.toml -k admin.pem --grant-signer i.pem -t p.pub
modelkeep granter waiting --policy p.toml
modelkeep granter allow --policy p.toml pi-17
modelkeep granter audit granter --head out/journal.json --signer i.pub --answers out
""",
    "verity": """
modelkeep verity format models.img -s publisher.pem
modelkeep verity verify models.img -t publisher.pub
""",
    "sign": """
modelkeep sign firmware.bin -s release.pem               writes firmware.bin.sig
""",
    "install": """
modelkeep install model.keep -k file:pi-17.pem -t publisher.pub --model-id acme/detector -o installed.keep
modelkeep install https://models.example/2.keep -k tpm2:pi-17.tpm -t publisher.pub --any-model -o slots
""",
    "slots": """
modelkeep slots init slots --model-id acme/detector
modelkeep slots withdraw slots -k file:pi-17.pem
""",
    "trial": """
modelkeep trial slots -k file:pi-17.pem -t publisher.pub
""",
    "update": """
modelkeep update slots --repository https://a.test --root root.json -k file:a.pem -t a.pub --model-id acme/a
modelkeep update slots --repository file:/mnt/stick --root root.json -k file:pi-17.pem -t a.pub --any-model
""",
    "status": """
modelkeep status slots -k file:pi-17.pem --json
""",
    "renew": """
modelkeep renew installed.keep -k file:pi-17.pem --grant newer.grants -t publisher.pub
""",
    "run": """
modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i image=x.npy -o scores.npz
modelkeep run installed.keep -k file:pi-17.pem -t publisher.pub -i inputs.npz --isolated --json
""",
    "serve": """
modelkeep serve model.keep --frigate -k file:pi-17.pem -t publisher.pub --model-id acme/detector
modelkeep serve slots --frigate --endpoint tcp://127.0.0.1:5555 -k file:pi-17.pem -t a.pub --any-model
""",
    "extract": """
modelkeep extract model.keep -k file:pi-17.pem -t publisher.pub --any-model --unsafe-plaintext -o plain
""",
    "import": """
modelkeep import old.enc --old-key k.bin --name m.onnx --sha256 HEX -r pi-17.pub -s publisher.pem -o m.keep
""",
    "guard": """
modelkeep guard report model.keep -k file:pi-17.pem -t publisher.pub unseen/*.npz -o report.html
modelkeep guard status telemetry/*.json
""",
    "state": """
modelkeep state show -k file:pi-17.pem
""",
    "repo": """
modelkeep repo init releases --person alice --person bob --person carol --threshold 2 --models acme/*
modelkeep repo publish releases model.keep -s models.pem -s phase.pem -s online.pem --share 10%
modelkeep repo promote releases acme/detector -s phase.pem -s online.pem
modelkeep repo status releases
""",
    "trust": """
modelkeep trust create -o trust.json --expires +365d --publisher publisher.pub=acme/*
modelkeep trust sign trust.json -s root-1.pem
modelkeep trust show trust.json --trust-root root-1.pub
""",
    "posture": """
modelkeep posture                                        what this device finds out about itself
modelkeep posture judge answer.json --asked kept.json --tpm-maker maker.pem --policy policy.toml
""",
    "evidence": """
modelkeep evidence model.keep -t publisher.pub -o evidence.md
modelkeep evidence installed.keep -k tpm2:pi-17.tpm -t trust.json --trust-root roots.json --isolated
""",
    "doctor": """
modelkeep doctor --json
""",
}


def examples_of(command: str) -> str:
    """Returns the end of a command's help."""
    lines = _EXAMPLES[command].strip().splitlines()
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


def example_lines(command: str) -> list[str]:
    """Returns the command lines of a command's examples, without what is said about them."""
    return [line.partition("   ")[0] for line in _EXAMPLES[command].strip().splitlines()]
