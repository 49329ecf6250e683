"""basic-pitch hears notes in music; here from a sealed model, with ONNX Runtime."""

import numpy as np
import onnxruntime
from workshop import compare, from_pypi, sealed_and_opened

model = from_pypi("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx")
sound = np.sin(2 * np.pi * 440 * np.arange(43844) / 22050).astype(np.float32)
inputs = {"serving_default_input_2:0": sound.reshape(1, -1, 1)}

plain = onnxruntime.InferenceSession(model)
names = [output.name for output in plain.get_outputs()]

with sealed_and_opened(model) as session:
    compare(session.run(inputs), dict(zip(names, plain.run(names, inputs), strict=True)))
