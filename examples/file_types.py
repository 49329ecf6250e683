"""magika says what kind of file something is; here from a sealed model, with ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime
from workshop import compare, from_pypi, sealed_and_opened

model = from_pypi("magika==1.0.3", "magika/models/standard_v3_3/model.onnx")
content = np.frombuffer(Path(__file__).read_bytes()[:2048], np.uint8).astype(np.int32)
# 256 stands for no byte.
inputs = {"bytes": np.pad(content, (0, 2048 - content.size), constant_values=256).reshape(1, -1)}

plain = onnxruntime.InferenceSession(model)
names = [output.name for output in plain.get_outputs()]

with sealed_and_opened(model) as session:
    compare(session.run(inputs), dict(zip(names, plain.run(names, inputs), strict=True)))
