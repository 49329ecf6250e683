"""Ultralytics: a sealed ONNX export where its own export would stand.

Files whose name ends with ``.onnx.keep`` are opened here, all others by Ultralytics.
"""

from __future__ import annotations

from typing import Any

from modelkeep.errors import RuntimeMissingError, UsageError
from modelkeep.integrations.checked_session import open_checked

try:
    import torch
    from ultralytics.nn.autobackend import AutoBackend
    from ultralytics.nn.backends.onnx import ONNXBackend
except ImportError as missing:
    raise RuntimeMissingError(
        "ultralytics with its backends is not installed", hint="pip install 'modelkeep[ultralytics]'"
    ) from missing


class SealedBackend(ONNXBackend):  # type: ignore[misc]
    """Computes on the processor, with a model that lies in memory alone."""

    def load_model(self, weight: Any) -> None:
        """Opens a sealed model with the key and whom to trust from the settings.

        Raises:
            KeepError: see `open_session`.
        """
        if not str(weight).endswith(".keep"):
            super().load_model(weight)
            return
        if self.format != "onnx":
            raise UsageError("OpenCV reads files alone", hint="leave dnn=True out")
        self.device = torch.device("cpu")
        self.session = open_checked(str(weight))
        self.apply_metadata(dict(self.session.get_modelmeta().custom_metadata_map))
        outputs = self.session.get_outputs()
        self.output_names = [output.name for output in outputs]
        self.dynamic = isinstance(outputs[0].shape[0], str)
        self.fp16 = "float16" in self.session.get_inputs()[0].type
        self.use_io_binding = False


def register() -> None:
    """Lets Ultralytics open sealed models in this process; again it does nothing.

    Raises:
        RuntimeMissingError: this version of Ultralytics has no table of backends.
    """
    table = getattr(AutoBackend, "_BACKEND_MAP", None)
    if not isinstance(table, dict) or not {"onnx", "dnn"} <= table.keys():
        raise RuntimeMissingError(
            "this version of ultralytics cannot be taught to open sealed models",
            hint="pip install 'modelkeep[ultralytics]'",
        )
    table["onnx"] = table["dnn"] = SealedBackend
