"""Makes what a model knows of its input visible to the guard."""

from __future__ import annotations

import os

from modelkeep.errors import UsageError
from modelkeep.formats.onnx_graph import external_files
from modelkeep.formats.onnx_outputs import embedding_of, with_output
from modelkeep.mapped_files import MappedFiles
from modelkeep.storage import Replacement, path_of, words_for, write_at


def expose_embedding(
    model: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    name: str | None = None,
    force: bool = False,
) -> str:
    """Writes an ONNX model that gives its embedding as an output as well, for the rule ``distance``.

    Weights and other outputs stay as they are. Learn and seal the new model, not the old one.

    Args:
        model: the plain model.
        target: file to write; beside the model where that keeps weights in other files.
        name: tensor that becomes an output; by default what the last dense layer sees.
        force: replace an existing file.

    Returns:
        The name of the output: what `learn` takes as `embedding`.

    Raises:
        MalformedError: not an ONNX model.
        StorageError: a file cannot be read or written.
        UsageError: no such tensor, no dense layer, or the target exists.
    """
    source, path = path_of(model), path_of(target)
    with MappedFiles({source.name: source}) as files:
        view = files[source.name]
        if external_files(view) and source.parent.resolve() != path.parent.resolve():
            raise UsageError("the model keeps weights in other files", hint="write the new one beside it")
        output = embedding_of(view) if name is None else name
        parts = list(with_output(view, output))
        with Replacement(path, force=force, mode=0o644) as new, words_for(path):
            for place, part in enumerate(parts):
                write_at(new.descriptor, memoryview(part), sum(map(len, parts[:place])))
            new.commit()
    return output
