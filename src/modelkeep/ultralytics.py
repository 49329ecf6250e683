"""`import modelkeep.ultralytics`, and `YOLO("best.onnx.keep")` opens a sealed model."""

from modelkeep.integrations.ultralytics import register

register()
