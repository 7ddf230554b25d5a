"""Models made alike with isoconv and with Keras, for the tests of files."""

import numpy as np

X = np.random.default_rng(0).normal(size=(4, 20, 3)).astype(np.float32)


def network(library):
    """A network with branches, a nested model, a wrapped layer and a layer used twice."""
    k = library.layers
    inputs = library.Input((20, 3))
    x = k.Conv1D(4, 3, activation="relu")(inputs)
    shared = k.Conv1D(4, 3, padding="same")
    y = shared(k.BatchNormalization()(shared(x)))
    inner = library.Input((18, 4))
    nested = library.Model(inner, k.Conv1D(4, 1)(inner))
    z = k.Concatenate()([nested(x), k.Dropout(0.2)(y)])
    z = k.TimeDistributed(k.Dense(5))(z)
    return library.Model(inputs, k.Dense(2, activation="softmax")(z))


def chain(library):
    k = library.layers
    return library.Sequential(
        [
            library.Input((20, 3)),
            k.Conv1D(4, 3, activation="relu"),
            k.BatchNormalization(),
            k.Conv1D(5, 3, strides=2, padding="causal", use_bias=False),
            k.Dense(2),
        ]
    )


def many(library):
    """Two inputs, and most kinds of layers that have weights or attributes worth saving."""
    k = library.layers
    inputs = library.Input((20, 3))
    words = library.Input((20,), dtype="int32")
    x = k.Average()([k.Multiply()([inputs, k.Embedding(11, 3)(words)]), inputs])
    x = k.SeparableConv1D(8, 3, padding="same", depth_multiplier=2)(x)
    x = k.PReLU()(k.LayerNormalization()(x))
    x = k.DepthwiseConv1D(3, depth_multiplier=2, padding="same")(x)
    x = k.LeakyReLU(negative_slope=0.2)(k.BatchNormalization(momentum=0.9)(x))
    x = k.Conv1DTranspose(8, 3, strides=2, padding="same")(x)
    x = k.AveragePooling1D(2, padding="same")(k.MaxPooling1D(2)(x))
    x = k.Activation("gelu")(k.SpatialDropout1D(0.1)(x))
    x = k.Permute((2, 1, 3))(k.Reshape((2, 5, 8))(x))
    x = k.Conv2D(6, 2, groups=2, kernel_regularizer=library.regularizers.L2(0.01))(x)
    x = k.DepthwiseConv2D(2, padding="same", activation="relu")(k.ZeroPadding2D(1)(x))
    x = k.Conv2DTranspose(3, 2, strides=2)(k.SeparableConv2D(4, 2, padding="same")(x))
    ends = [k.GlobalAveragePooling2D()(x), k.GlobalMaxPooling2D()(x), k.Flatten()(x)]
    return library.Model([inputs, words], k.Dense(2, activation="softplus")(k.Concatenate()(ends)))


def shared(library):
    """Two inputs through the same layers, one of them twice."""
    k = library.layers
    left, right = library.Input((20, 3), name="left"), library.Input((20, 3), name="right")
    conv, norm, dense = k.Conv1D(3, 5, padding="same"), k.BatchNormalization(), k.Dense(4)
    ends = [norm(conv(conv(left))), norm(conv(right)), k.Subtract()([left, right])]
    pooled = [k.GlobalMaxPooling1D()(dense(each)) for each in ends]
    return library.Model([left, right], k.Dense(2)(k.Concatenate()(pooled)))


MANY = [X, np.random.default_rng(2).integers(0, 11, (4, 20)).astype(np.int32)]


def randomize(model):
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 1, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model
