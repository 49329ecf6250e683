"""The commands that the documentation leads with, word for word, and what they leave behind."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import numpy as np
import onnx

from support.command_line import CommandLine, files
from support.workshop import scale_model

TOUR = (
    "modelkeep keys create file:pi-17.pem > pi-17.pub",
    "modelkeep keys create file:pi-18.pem > pi-18.pub",
    "modelkeep keys create file:admin.pem > admin.pub",
    "modelkeep keys create --kind signing publisher.pem > publisher.pub",
    "modelkeep seal model.onnx -r pi-17.pub --admin admin.pub -s publisher.pem -o model.keep",
    "modelkeep inspect model.keep",
    "modelkeep verify model.keep -t publisher.pub",
    "modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r pi-18.pub",
    "modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i image=x.npy -o scores.npz",
    "modelkeep run model.keep -k file:pi-18.pem -t publisher.pub -i image=x.npy -o scores-18.npz",
)


def prepare(folder: Path) -> None:
    model = onnx.load_model_from_string(scale_model(2.0, 4))
    model.graph.input[0].name = model.graph.node[0].input[0] = "image"
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    np.save(folder / "x.npy", np.arange(4, dtype=np.float32).reshape(1, 4))


def test_the_tour_works_as_it_is_written(command: CommandLine) -> None:
    prepare(command.folder)
    for line in TOUR:
        command.ok(line)
    for name in ("scores.npz", "scores-18.npz"):
        with np.load(command.folder / name) as scores:
            assert scores["y"].tolist() == [[0, 2, 4, 6]]


def test_private_files_are_for_their_owner_alone(shop: CommandLine) -> None:
    for name in ("pi-17.pem", "publisher.pem"):
        assert stat.S_IMODE((shop.folder / name).stat().st_mode) == 0o600


def test_a_public_key_is_one_line_with_the_name_of_the_device(shop: CommandLine) -> None:
    (line,) = (shop.folder / "pi-17.pub").read_text().splitlines()
    kind, _, device = line.split(" ")
    assert (kind, device) == ("hpke-p256", "pi-17")


def test_a_public_key_may_be_given_as_text(shop: CommandLine) -> None:
    line = (shop.folder / "pi-18.pub").read_text().strip()
    assert shop("seal", "model.onnx", "-r", line, "-s", "publisher.pem", "-o", "m.keep").code == 0
    shop.ok("modelkeep run m.keep -k file:pi-18.pem -t publisher.pub -i x=x.npy")


def test_without_an_output_the_bundle_is_named_like_the_model(shop: CommandLine) -> None:
    shutil.copy("model.onnx", "detector.onnx")
    shop.ok("modelkeep seal detector.onnx -r pi-17.pub -s publisher.pem")
    # With its ending, since a folder often holds a model in several formats.
    assert "detector.onnx.keep" in files(shop.folder)
    assert "ok: detector epoch 1" in shop.ok("modelkeep verify detector.onnx.keep -t publisher.pub").err


def test_granting_leaves_the_bundle_alone_and_adds_a_line_each_time(shop: CommandLine) -> None:
    before = (shop.folder / "model.keep").read_bytes()
    shop.ok("modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r pi-18.pub")
    shop.ok("modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r pi-17.pub")
    assert (shop.folder / "model.keep").read_bytes() == before
    assert len((shop.folder / "model.keep.grants").read_bytes().splitlines()) == 2


def test_grants_can_be_kept_elsewhere(shop: CommandLine) -> None:
    shop.ok("modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r pi-18.pub -o new.grants")
    run = "modelkeep run model.keep -k file:pi-18.pem -t publisher.pub -i x=x.npy"
    assert shop.shell(run).code == 4
    shop.ok(f"{run} --grant new.grants")


def test_a_plain_grant_does_not_delegate_but_an_admin_grant_does(shop: CommandLine) -> None:
    refused = shop.shell("modelkeep grant model.keep -k file:pi-17.pem -t publisher.pub -r pi-18.pub")
    assert refused.code == 3
    assert "model.keep.grants" not in files(shop.folder)
    shop.ok("modelkeep grant model.keep -k file:admin.pem --admin pi-18.pub -t publisher.pub")
    shop.ok("modelkeep grant model.keep -k file:pi-18.pem -t publisher.pub -r pi-17.pub")


def test_extracted_files_are_the_files_that_were_sealed(shop: CommandLine) -> None:
    extract = "modelkeep extract model.keep -k file:pi-17.pem -t publisher.pub --any-model -o plain"
    assert shop.shell(extract).code == 2
    assert "plain" not in files(shop.folder)
    shop.ok(f"{extract} --unsafe-plaintext")
    assert (shop.folder / "plain/model.onnx").read_bytes() == (shop.folder / "model.onnx").read_bytes()
    assert shop.shell(f"{extract} --unsafe-plaintext").code == 2


def test_inputs_and_outputs_travel_in_npz_files(shop: CommandLine) -> None:
    np.savez("inputs.npz", x=np.ones((2, 4), np.float32))
    shop.ok("modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i inputs.npz -o scores.npz")
    with np.load("scores.npz") as scores:
        assert scores["y"].tolist() == [[2.0] * 4] * 2


def test_a_folder_is_sealed_with_everything_in_it(shop: CommandLine) -> None:
    folder = shop.folder / "model"
    folder.mkdir()
    shutil.copy("model.onnx", folder / "net.onnx")
    (folder / "labels.txt").write_text("cat\ndog\n")
    shop.ok("modelkeep seal model -r pi-17.pub -s publisher.pem -o folder.keep --entry net.onnx")
    shop.ok(
        "modelkeep extract folder.keep -k pi-17.pem -t publisher.pub --any-model -o out --unsafe-plaintext"
    )
    assert files(shop.folder / "out") == {"net.onnx", "labels.txt"}


def test_a_dry_run_tells_and_writes_nothing(shop: CommandLine) -> None:
    before = files(shop.folder)
    told = shop.ok("modelkeep seal model.onnx -r pi-17.pub -s publisher.pem -o new.keep --dry-run --json")
    assert files(shop.folder) == before
    assert "would seal model into new.keep" in told.err
    assert "pi-17: may open" in told.err
    assert told.json["files"] == {"model.onnx": (shop.folder / "model.onnx").stat().st_size}


def test_a_model_runs_in_a_process_of_its_own(shop: CommandLine) -> None:
    shop.ok("modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i x=x.npy -o here.npz")
    shop.ok("modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i x=x.npy -o there.npz --isolated")
    with np.load(shop.folder / "here.npz") as here, np.load(shop.folder / "there.npz") as there:
        assert here["y"].tolist() == there["y"].tolist()
