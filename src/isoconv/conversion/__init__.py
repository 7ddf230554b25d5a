"""Layers and models in other forms that are the same function, their weights carried over."""
