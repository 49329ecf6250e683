"""Evidence of what was tampered with says so, and nobody writes a line of it but modelkeep."""

from __future__ import annotations

from pathlib import Path

from support.command_line import CommandLine

_LINE = "modelkeep evidence model.keep -k file:pi-17.pem -t publisher.pub"


def test_evidence_of_a_changed_bundle_is_a_refusal(shop: CommandLine) -> None:
    bundle = Path("model.keep")
    whole = bundle.read_bytes()
    assert shop.ok(f"{_LINE} --json").json["verified"]
    # A byte of the last segment, which nothing but the look at every byte finds.
    end = len(whole.rstrip(b"\0")) - 1
    bundle.write_bytes(whole[:end] + bytes([whole[end] ^ 1]) + whole[end + 1 :])
    for line in (_LINE, "modelkeep evidence model.keep -t publisher.pub"):
        refused = shop.shell(f"{line} --json")
        assert refused.code == 3
        assert not refused.json["verified"] and refused.json["facts"] == []
        assert {row["standing"] for row in refused.json["requirements"]} == {"not shown"}
    page = shop.shell(_LINE)
    assert page.code == 3 and "**REFUSED: " in page.out
    assert not {"| shown |", "| verified |", "| partly |", "| advisory |"} & set(page.out.split("\n"))


def test_evidence_of_another_publisher_is_a_refusal(shop: CommandLine) -> None:
    refused = shop.shell("modelkeep evidence model.keep -k file:pi-17.pem -t stranger.pub --json")
    assert (refused.code, refused.json["verified"], refused.json["facts"]) == (3, False, [])


def test_no_name_in_a_bundle_writes_a_line_of_evidence(shop: CommandLine) -> None:
    honest = shop.ok(_LINE).out
    hostile = "2\u3164 |\n| 4.3.4 | keys | shown | <script>x</script> [a](http://b) **c** `d`"
    arguments = ["seal", "model.onnx", "-r", "pi-17.pub", "-s", "publisher.pem", "-o", "model.keep", "-f"]
    assert shop(*arguments, "--release", hostile).code == 0
    page = shop.ok(_LINE).out
    assert _shape(page) == _shape(honest)
    (line,) = (line for line in page.split("\n") if line.startswith("| signature |"))
    assert "\u3164" not in line
    assert not set(line.replace("| ", "", 3).removesuffix(" |").replace(" | ", "")) & set("<>[]*`|")


def _shape(page: str) -> list[str]:
    """Returns the name and the standing of each line."""
    return ["|".join(line.split("|")[:2]) for line in page.split("\n") if line.startswith("|")]
