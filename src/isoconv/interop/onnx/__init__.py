"""ONNX files: read into drawn models. Needs the package onnx."""

from isoconv.interop.onnx.reading import from_onnx, load

__all__ = ["from_onnx", "load"]
