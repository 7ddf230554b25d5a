"""The page that compares Conv1D with Dense: equal where the kernel is as long as the input."""

# fmt: off
import isoconv.compat.tf1 as tf
import numpy as np

l = 10
k = 2
n = 5

x = tf.placeholder(tf.float32, [None, l, k])
c = tf.layers.conv1d(inputs=x, strides=1, filters=n, kernel_size=l, kernel_initializer=tf.ones_initializer())
d = tf.layers.dense(inputs=tf.reshape(x, [-1, l*k]), units=n, kernel_initializer=tf.ones_initializer())

batch_size = 10

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    r_conv, r_dense = sess.run([c, d], {x: np.random.normal(size=[batch_size, l, k])})

print(r_conv.shape, r_dense.shape)
#(10, 1, 5) (10, 5)

print(np.allclose(r_conv.reshape([batch_size, -1]), r_dense.reshape([batch_size, -1])))
#True
# fmt: on

assert (r_conv.shape, r_dense.shape) == ((10, 1, 5), (10, 5))
# Not only close: these are the same sums, in the same order.
assert np.array_equal(r_conv[:, 0], r_dense)

# The answer's first case: kernel_size 1 on (batch, length, channels), for any weights.
x = tf.placeholder(tf.float32, [None, l, k])
same = [tf.layers.conv1d(x, n, 1, name="taps"), tf.layers.dense(x, n, name="units")]
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    taps, units = tf.get_default_graph().layers["taps"], tf.get_default_graph().layers["units"]
    kernels = sess.run([taps.kernel, units.kernel])
    assert [kernel.shape for kernel in kernels] == [(1, k, n), (k, n)]
    data = np.random.normal(size=[batch_size, l, k])
    by_taps, by_units = sess.run(same, {x: data})
assert np.allclose(by_taps, data @ kernels[0][0], atol=1e-5)
assert np.allclose(by_units, data @ kernels[1], atol=1e-5)

# Both have as many parameters: 20,480 weights and 256 biases with 80 numbers a frame and 256 units.
frames = tf.placeholder(tf.float32, [None, 80, 1])
tf.layers.conv1d(frames, 256, 80, name="frames")
tf.layers.dense(tf.layers.flatten(frames), 256, name="flat")
for name in ("frames", "flat"):
    assert [weight.size for weight in tf.get_default_graph().layers[name].weights] == [20480, 256]

# With other padding a convolution is another operation, of many more multiplications.
padded = tf.layers.conv1d(frames, 256, 80, padding="same")
assert padded.shape == (None, 80, 256)
