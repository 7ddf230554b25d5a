"""The page's second program: frames one by one with long kernels, or all with one tap."""

import numpy as np

import isoconv.compat.tf1 as tf

# fmt: off
l = 10
k = 2
n = 5

x = tf.placeholder(tf.float32, [None, l, k])
c2 = tf.layers.conv1d(inputs=x, strides=1, filters=n, kernel_size=1, kernel_initializer=tf.ones_initializer())
c3 = tf.layers.conv1d(inputs=tf.reshape(x, [-1, k, 1]), strides=1, filters=n, kernel_size=k, kernel_initializer=tf.ones_initializer())
d2 = tf.layers.dense(inputs=tf.reshape(x, [-1, k]), units=n, kernel_initializer=tf.ones_initializer())

batch_size = 10

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    r_d2, r_c2, r_c3 = sess.run([d2, c2, c3], {x: np.random.normal(size=[batch_size, l, k])})
    r_d2 = r_d2.reshape([10, 10, 5])
    r_c3 = r_c3.reshape([10, 10, 5])

print(r_d2.shape, r_c2.shape, r_c3.shape)
#(10, 10, 5) (10, 10, 5) (10, 10, 5)

print(np.allclose(r_d2, r_c2))
#True
print(np.allclose(r_d2, r_c3))
#True
print(np.allclose(r_c2, r_c3))
#True
# fmt: on

assert r_d2.shape == r_c2.shape == r_c3.shape == (10, 10, 5)
# Not only close: the three are the same sums, in the same order.
assert np.array_equal(r_d2, r_c2)
assert np.array_equal(r_d2, r_c3)
# "They have the same number of parameters", two weights and a bias a filter.
assert [weight.size for weight in tf.global_variables()] == [10, 5] * 3
# But they are not the layer that sees whole sequences, whose weights are more.
tf.layers.dense(tf.reshape(x, [-1, l * k]), n, name="sequence")
assert [weight.size for weight in tf.get_default_graph().layers["sequence"].weights] == [100, 5]
