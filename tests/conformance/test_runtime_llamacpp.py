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


def write_model(path: Path) -> None:
    gguf: Any = pytest.importorskip("gguf")
    writer, random = gguf.GGUFWriter(path, "llama"), np.random.default_rng(0)
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
    memory = allocate(LlamaCppRuntime, "net.gguf", "net.gguf", len(content))
    memory.view[:] = content
    runner = LlamaCppRuntime.load(loaded_model("gguf", "net.gguf", {"net.gguf": memory}), OPTIONS | options)
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
