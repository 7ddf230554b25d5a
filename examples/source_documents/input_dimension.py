"""The page that asks where Conv1D's input dimension goes: the kernel spans it."""

# fmt: off
from isoconv.layers import Conv1D, Conv2D
import isoconv.backend as K
import numpy as np

# create an input with 4 steps and 5 channels/input_dim
channels = 5
steps = 4
filters = 3
val = np.array([list(range(i * channels, (i + 1) * channels)) for i in range(1, steps + 1)])
val = np.expand_dims(val, axis=0)
x = K.variable(value=val)

# 1D convolution. Initialize the kernels to ones so that it's easier to compute the result by hand

conv1d = Conv1D(filters=filters, kernel_size=1, kernel_initializer='ones')(x)

# 2D convolution that replicates the 1D one

# need to add a dimension to your input since conv2d expects 4D inputs. I add it at axis 4 since my keras is setup with `channel_last`
val1 = np.expand_dims(val, axis=3)
x1 = K.variable(value=val1)

conv2d = Conv2D(filters=filters, kernel_size=(1, 5), kernel_initializer='ones')(x1)

# evaluate and print the outputs

print(K.eval(conv1d))
print(K.eval(conv2d))
# fmt: on

# Each output is the sum of all five numbers of its step: kernels span (kernel_size, input_dim).
by_hand = np.repeat(val.sum(-1, keepdims=True), filters, axis=-1)
assert np.array_equal(K.eval(conv1d), by_hand)
assert np.array_equal(K.eval(conv2d)[:, :, 0], K.eval(conv1d))
assert K.eval(conv2d).shape == (1, 4, 1, 3)
layer = Conv1D(filters, 1)
layer(val.astype("float32"))
assert layer.kernel.shape == (1, channels, filters)

# (batch, steps, input_dim) to (batch, new_steps, filters): one step of 8000 numbers gives one step.
assert Conv1D(16, 1)(np.zeros((1, 1, 8000), "float32")).shape == (1, 1, 16)
# The 8000 were meant as steps, of one channel.
assert Conv1D(16, 1)(np.zeros((1, 8000, 1), "float32")).shape == (1, 8000, 16)
# Conv2D keeps rows and columns, and its channels go in the same way.
assert Conv2D(16, 1)(np.zeros((1, 6, 7, 4), "float32")).shape == (1, 6, 7, 16)
