"""The page that reads Keras' sources: Conv1D(64, 3) is Conv2D(64, (3, 300))."""

import numpy as np

import isoconv.compat.tf1 as tf
from isoconv.layers import Conv1D, Conv2D
from isoconv.utils import conv_utils

# What the page shows of `_Conv` in Keras 2, with its numbers.
for rank, kernel_size, input_dim, kernel_shape in (
    (1, 3, 300, (3, 300, 64)),
    (2, 3, 1, (3, 3, 1, 64)),
    (2, (3, 300), 1, (3, 300, 1, 64)),
):
    size = conv_utils.normalize_tuple(kernel_size, rank, "kernel_size")
    assert (*size, input_dim, 64) == kernel_shape

# One integer is repeated; a tuple of the right length stays; all else is a ValueError.
assert conv_utils.normalize_tuple(3, 2, "kernel_size") == (3, 3)
assert conv_utils.normalize_tuple([3, 300], 2, "kernel_size") == (3, 300)
for value, message in (
    (2.5, "The `strides` argument must be a tuple of 2 integers. Received: 2.5"),
    ((1, 2, 3), "The `strides` argument must be a tuple of 2 integers. Received: (1, 2, 3)"),
    (
        (1, "a"),
        "The `strides` argument must be a tuple of 2 integers. Received: (1, 'a') "
        "including element a of type <class 'str'>",
    ),
):
    try:
        conv_utils.normalize_tuple(value, 2, "strides")
    except ValueError as error:
        assert str(error) == message, error
    else:
        raise AssertionError(f"{value} was taken")

# The layers have these kernels.
x = np.random.default_rng(0).normal(size=(1, 600, 300)).astype("float32")
conv1d, conv2d = Conv1D(64, 3), Conv2D(64, (3, 300))
square = Conv2D(64, 3)
y = conv1d(x)
assert conv2d(x[..., None]).shape == (1, 598, 1, 64)
square(x[..., None])
assert conv1d.kernel.shape == (3, 300, 64)
assert square.kernel.shape == (3, 3, 1, 64)
assert conv2d.kernel.shape == (3, 300, 1, 64)


# "The code that both call last is the backend's": the same function, with other `input` and `filter`.
def last_called(x, kernel, strides, padding, dilation_rate, tf_data_format):
    # fmt: off
    x = tf.nn.convolution(
        input=x,
        filter=kernel,
        dilation_rate=(dilation_rate,),
        strides=(strides,),
        padding=padding,
        data_format=tf_data_format)
    # fmt: on
    return x


assert np.array_equal(last_called(x, conv1d.kernel, 1, "VALID", 1, "NWC"), y)
rows = tf.nn.convolution(x[..., None], conv2d.kernel, "VALID", data_format="NHWC")
assert np.array_equal(rows, conv2d(x[..., None]))

# "What Conv1D has, reshaped": the weights of one, in the shape of the other, give the same bits.
conv2d.set_weights([conv1d.kernel.numpy()[:, :, None], conv1d.bias.numpy()])
assert np.array_equal(conv2d(x[..., None])[:, :, 0], y)
print("Conv1D(64, 3) on (600, 300) equals Conv2D(64, (3, 300)) on (600, 300, 1), bit for bit")
