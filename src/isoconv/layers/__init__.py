"""The layers, by Keras' names."""

from isoconv.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from isoconv.layers.base import Layer
from isoconv.layers.convolution import Conv1D, Conv2D, Conv3D
from isoconv.layers.dense import Dense
from isoconv.layers.dropout import Dropout, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D
from isoconv.layers.embedding import Embedding
from isoconv.layers.input import Input, InputLayer
from isoconv.layers.merge import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from isoconv.layers.noise import (
    ActivityRegularization,
    AlphaDropout,
    GaussianDropout,
    GaussianNoise,
)
from isoconv.layers.normalization import BatchNormalization, LayerNormalization
from isoconv.layers.wrapping import Identity, Lambda, Masking, TimeDistributed

Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Convolution1D",
    "Convolution2D",
    "Convolution3D",
    "Dense",
    "Dot",
    "Dropout",
    "Embedding",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "Input",
    "InputLayer",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "ReLU",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Subtract",
    "TimeDistributed",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
