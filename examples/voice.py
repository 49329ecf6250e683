"""silero-vad hears whether somebody speaks; here from a sealed model, with the settings of one's own."""

import numpy as np
import onnxruntime
from workshop import compare, from_pypi, sealed_and_opened

model = from_pypi("silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx")
sound = np.random.default_rng(0).standard_normal((1, 512), np.float32)
inputs = {"input": sound, "state": np.zeros((2, 1, 128), np.float32), "sr": np.array(16000)}

settings = onnxruntime.SessionOptions()
settings.intra_op_num_threads = 1
plain = onnxruntime.InferenceSession(model, settings)
names = [output.name for output in plain.get_outputs()]

with sealed_and_opened(model, session_options=settings) as session:
    compare(session.run(inputs), dict(zip(names, plain.run(names, inputs), strict=True)))
