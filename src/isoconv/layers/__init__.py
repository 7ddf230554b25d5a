"""The layers, by Keras' names."""

from isoconv.layers.base import Layer
from isoconv.layers.convolution import Conv1D, Conv2D, Conv3D
from isoconv.layers.dense import Dense
from isoconv.layers.dropout import Dropout
from isoconv.layers.input import Input, InputLayer

Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Convolution1D",
    "Convolution2D",
    "Convolution3D",
    "Dense",
    "Dropout",
    "Input",
    "InputLayer",
    "Layer",
]
