"""The page on four convolutions: their shapes, their parameters, and a script."""

import re

# fmt: off
from isoconv import layers
from isoconv.models import Model
import isoconv as keras
input_num = 10
keras.backend.clear_session()
inputs = layers.Input((input_num, 3))  # 定义输入层
# out = layers.Conv1D(filters=2, kernel_size=4, padding='same',use_bias=False)(inputs)
out = layers.SeparableConv1D(filters=2,kernel_size=4,use_bias=False, depth_multiplier=1)(inputs)
model = Model(inputs=inputs, outputs=out)
model.summary()
print(model.get_weights())
lis = list(model.get_weights()[0])
print(sum(lis[0]),sum(lis[1]))
x = [[[1,1,1] for i in range(input_num)]]
import numpy as np
x = np.array(x)
print(model.predict(x))
# fmt: on

# The script's network, by hand: each channel with a kernel of its own, then a mixture of channels.
depthwise, pointwise = model.get_weights()
assert depthwise.shape == (4, 3, 1)
assert pointwise.shape == (1, 3, 2)
by_hand = np.broadcast_to(depthwise[..., 0].sum(0) @ pointwise[0], (1, 7, 2))
assert np.allclose(model.predict(x), by_hand, atol=1e-6)


def table(kind, *args, **kwargs):
    """What `summary` says of a layer on (10, 3): its output shape and its parameters."""
    keras.backend.clear_session()
    start = layers.Input((10, 3))
    model = Model(start, kind(*args, **kwargs)(start))
    lines = []
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "input_layer (InputLayer)" in text
    assert "(None, 10, 3)" in text
    *_, row = re.findall(r"(\(None, .*?\)) +(\d+)", text)
    return row, model


# Its tables.
row, _ = table(layers.Conv1D, filters=2, kernel_size=4, use_bias=False)
assert row == ("(None, 7, 2)", "24")
for padding in ("same", "causal"):
    row, _ = table(layers.Conv1D, 2, 4, padding=padding, use_bias=False)
    assert row == ("(None, 10, 2)", "24")

# depth_multiplier gives each channel several kernels, and the output keeps its shape.
for multiplier in (1, 2, 3):
    row, model = table(layers.SeparableConv1D, 2, 4, depth_multiplier=multiplier)
    assert row[0] == "(None, 7, 2)"
    assert model.get_weights()[0].shape == (4, 3, multiplier)

# dilation_rate spreads the kernel and does not change it.
_, model = table(layers.Conv1D, 2, 4, dilation_rate=2, use_bias=False)
assert model.output_shape == (None, 4, 2)
assert model.get_weights()[0].shape == (4, 3, 2)

# strides is how far the kernel moves.
_, model = table(layers.Conv1D, 2, 4, strides=2, use_bias=False)
assert model.output_shape == (None, 4, 2)

# channels_first takes (batch, channels, steps): the same numbers with their axes in that order.
conv, first = layers.Conv1D(2, 4), layers.Conv1D(2, 4, data_format="channels_first")
data = np.random.default_rng(0).normal(size=(1, 10, 3)).astype("float32")
expected = conv(data)
first.build((None, 3, 10))
first.set_weights(conv.get_weights())
assert np.array_equal(first(data.transpose(0, 2, 1)), expected.transpose(0, 2, 1))

# A two-dimensional kernel within each channel: the first half of a separable convolution.
image = np.random.default_rng(1).normal(size=(1, 6, 6, 2)).astype("float32")
whole = layers.SeparableConv2D(5, 3, use_bias=False)
half = layers.DepthwiseConv2D(3, use_bias=False)
mixed = whole(image)
half.build(image.shape)
half.set_weights(whole.get_weights()[:1])
assert np.allclose(half(image) @ whole.get_weights()[1][0, 0], mixed, atol=1e-5)
