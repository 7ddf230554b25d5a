"""ONNX files: read into drawn models, and written from them. Needs the package onnx."""

from isoconv.interop.onnx.reading import from_onnx, load
from isoconv.interop.onnx.writing import save, to_onnx

__all__ = ["from_onnx", "load", "save", "to_onnx"]
