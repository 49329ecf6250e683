"""llama.cpp with a language model of a few kilobytes; its package is built from source, so rarely there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.errors import KeepError, UsageError
from modelkeep.runtimes.llamacpp import LlamaCppRunner, LlamaCppRuntime
from modelkeep.runtimes.loading import allocate, loaded_model

pytestmark = pytest.mark.slow
WIDTH, HIDDEN, HEADS = 64, 128, 4
OPTIONS = {"n_ctx": 256, "n_threads": 1}
SHAPES = {
    "attn_norm": (WIDTH,),
    **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH)),
    "ffn_norm": (WIDTH,),
    **dict.fromkeys(("ffn_gate", "ffn_up"), (HIDDEN, WIDTH)),
    "ffn_down": (WIDTH, HIDDEN),
}


def write_model(path: Path, **options: Any) -> None:
    gguf: Any = pytest.importorskip("gguf")
    writer, random = gguf.GGUFWriter(path, "llama", **options), np.random.default_rng(0)
    tokens = [b"<unk>", b"<s>", b"</s>", *(f"<0x{byte:02X}>".encode() for byte in range(256)), b"a", b"b"]
    for name, value in (
        *(("context_length", 256), ("embedding_length", WIDTH), ("block_count", 1)),
        *(("feed_forward_length", HIDDEN), ("head_count", HEADS), ("head_count_kv", HEADS)),
        *(
            ("layer_norm_rms_eps", 1e-5),
            ("rope_dimension_count", WIDTH // HEADS),
            ("vocab_size", len(tokens)),
        ),
        *(("tokenizer_model", "llama"), ("token_list", tokens), ("token_scores", [0.0] * len(tokens))),
        *(("token_types", [2, 3, 3] + [6] * 256 + [1] * 2), ("bos_token_id", 1), ("eos_token_id", 2)),
    ):
        getattr(writer, f"add_{name}")(value)
    shapes = {f"blk.0.{name}": shape for name, shape in SHAPES.items()}
    shapes |= {"token_embd": (len(tokens), WIDTH), "output_norm": (WIDTH,), "output": (len(tokens), WIDTH)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.standard_normal(shape).astype(np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        step()
    writer.close()


def load(content: bytes, **options: Any) -> LlamaCppRunner:
    return load_files({"net.gguf": content}, **options)


def load_files(files: dict[str, bytes], **options: Any) -> LlamaCppRunner:
    entry = min(files)
    memory = {path: allocate(LlamaCppRuntime, entry, path, len(content)) for path, content in files.items()}
    for path, content in files.items():
        memory[path].view[:] = content
    runner = LlamaCppRuntime.load(loaded_model("gguf", entry, memory), OPTIONS | options)
    runner.memory = memory  # type: ignore[attr-defined]  # kept for as long as the runner
    return runner


def test_it_writes_what_a_plain_run_writes(tmp_path: Path) -> None:
    llama_cpp: Any = pytest.importorskip("llama_cpp")
    path = tmp_path / "net.gguf"
    write_model(path)
    plain = llama_cpp.Llama(str(path), verbose=False, **OPTIONS)
    expected = plain.create_completion("ab", max_tokens=8, temperature=0.0)["choices"][0]["text"]
    runner = load(path.read_bytes())
    inputs = {"prompt": np.array("ab"), "max_tokens": np.array(8)}
    assert runner.run(inputs)["text"].item() == expected
    with pytest.raises(UsageError):
        runner.run({"text": np.array("ab")})
    runner.close()
    runner.close()
    with pytest.raises(UsageError, match="closed"):
        runner.run(inputs)
    for damaged in (b"", path.read_bytes()[:100], b"GGUF" + bytes(100)):
        with pytest.raises(KeepError):
            load(damaged)
    with pytest.raises(UsageError):
        load(path.read_bytes(), no_such_option=1)


def test_a_split_model_writes_what_the_whole_one_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("llama_cpp")
    inputs = {"prompt": np.array("ab"), "max_tokens": np.array(8)}
    write_model(tmp_path / "net.gguf")
    whole = load((tmp_path / "net.gguf").read_bytes())
    expected = whole.run(inputs)["text"].item()
    whole.close()
    write_model(tmp_path / "split.gguf", split_max_tensors=5)
    files = {f"deep/{path.name}": path.read_bytes() for path in sorted(tmp_path.glob("split-*.gguf"))}
    assert len(files) > 1
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(links))
    runner = load_files(files)
    assert runner.borrowed == files.keys()
    assert list(links.iterdir()) == []
    assert runner.run(inputs)["text"].item() == expected
    runner.close()
    last = max(files)
    with pytest.raises(KeepError):
        load_files(files | {last: files[min(files)]})
    assert list(links.iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(KeepError, match="temporary folder: no such file"):
        load_files(files)
