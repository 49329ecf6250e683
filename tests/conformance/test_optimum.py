"""Optimum's classes give the plain export's bits with a sealed one, and check what they are handed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.errors import InputError, UsageError
from support.integrations import printed, set_up
from support.needs import require_module
from support.workshop import Workshop

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "all", "is", "well"]


@pytest.fixture
def exported(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small BERT as Optimum exports it, in `plain` and sealed; its configuration and words in `bert`."""
    require_module("optimum", "torch-tools")
    from optimum.onnxruntime import ORTModelForSequenceClassification
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    monkeypatch.chdir(workshop.folder)
    set_up(workshop, monkeypatch)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(_WORDS), max_position_embeddings=16, **sizes)
    BertForSequenceClassification(config).save_pretrained("torch")
    ORTModelForSequenceClassification.from_pretrained("torch", export=True).save_pretrained("plain")
    config.save_pretrained("bert")
    Path("words").write_text("\n".join(_WORDS))
    BertTokenizer("words").save_pretrained("bert")
    within = {"minimum": 0, "maximum": len(_WORDS) - 1}
    workshop.seal(Path("plain/model.onnx"), name="model.keep", contract={"input_ids": within})
    return workshop.folder


def test_the_lines_of_the_page_give_the_plain_models_bits(exported: Path) -> None:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from optimum.onnxruntime import ORTModelForSequenceClassification

    names: dict[str, Any] = {}
    exec(printed("Optimum"), names)
    plain = ORTModelForSequenceClassification.from_pretrained("plain")
    np.testing.assert_array_equal(names["logits"], plain(**names["tokens"]).logits)
    assert names["logits"].shape == (1, 2)
    # Optimum looks into what it copies.
    with pytest.raises(DecodeError):
        names["model"].save_pretrained("saved")
    assert [path.name for path in exported.glob("saved/*")] == ["config.json"]


def test_contract_and_kinds_are_checked(exported: Path) -> None:
    import torch
    from optimum.onnxruntime import ORTModelForSeq2SeqLM, ORTModelForSequenceClassification

    from modelkeep.integrations.optimum import open_model

    model = open_model(ORTModelForSequenceClassification, "model.keep", "bert")
    beyond = torch.tensor([[2, len(_WORDS), 3]])
    with pytest.raises(InputError, match="input_ids"):
        model(input_ids=beyond, attention_mask=torch.ones_like(beyond))
    model.use_io_binding = True
    with pytest.raises(UsageError, match="not checked"):
        model(input_ids=beyond, attention_mask=torch.ones_like(beyond))
    assert not hasattr(model.session, "_sess")
    wrong: list[Any] = [ORTModelForSeq2SeqLM, dict, None]
    for kind in wrong:
        with pytest.raises(UsageError, match="no class of one session"):
            open_model(kind, "model.keep", "bert")
    # Optimum holds on to nothing of ONNX Runtime's: there is no warning that copies stay in memory.
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        model.session.close()
    with pytest.raises(UsageError, match="closed"):
        model.session.run(None, {})
