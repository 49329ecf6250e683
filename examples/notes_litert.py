"""basic-pitch hears notes in music; here from a sealed model, with LiteRT."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from workshop import compare, from_pypi, sealed_and_opened

model = from_pypi("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.tflite")
sound = np.sin(2 * np.pi * 440 * np.arange(43844) / 22050).astype(np.float32)
inputs = {"input_2": sound.reshape(1, -1, 1)}

plain = Interpreter(str(model)).get_signature_runner()

with sealed_and_opened(model) as session:
    compare(session.run(inputs), plain(**inputs))
