"""Writes the files of Keras 2 that tests/models/test_keras2_files.py reads.

Run with tf_keras 2.21 and TensorFlow: python tools/make_keras2_files.py tests/models/keras2
Each .npz beside a model holds inputs and what Keras 2 predicted for them.
"""

import sys
from pathlib import Path

import numpy as np
import tf_keras as keras

k = keras.layers


def chain():
    return keras.Sequential(
        [
            k.Conv1D(4, 3, activation="relu", input_shape=(20, 3)),
            k.BatchNormalization(),
            k.LeakyReLU(alpha=0.2),
            k.SeparableConv1D(5, 3, padding="same", depth_multiplier=2),
            k.MaxPooling1D(2),
            k.Dropout(0.3),
            k.Flatten(),
            k.Dense(3, activation="softmax", kernel_regularizer=keras.regularizers.l2(0.01)),
        ]
    )


def image():
    inputs = keras.Input((9, 8, 2))
    x = k.Conv2D(4, (3, 2), strides=2, padding="same", use_bias=False)(inputs)
    x = k.ReLU(max_value=6.0)(k.BatchNormalization(axis=-1)(x))
    y = k.DepthwiseConv2D(3, padding="same", depth_multiplier=1)(x)
    x = k.Add()([x, y])
    x = k.Conv2DTranspose(3, 3, strides=2, padding="same")(x)
    return keras.Model(inputs, k.GlobalAveragePooling2D()(k.UpSampling2D(2)(x)))


def shared():
    """Two inputs, a layer called twice, a nested model called twice, operations written as code."""
    left, right = keras.Input((10, 3), name="left"), keras.Input((10, 3), name="right")
    conv = k.Conv1D(4, 3, padding="causal", name="shared")
    inner = keras.Input((10, 4))
    nested = keras.Model(inner, k.Conv1D(4, 1, activation="tanh")(inner), name="nested")
    stack = keras.Sequential([k.Dense(4), k.PReLU(shared_axes=[1])], name="stack")
    a, b = nested(conv(left)), nested(conv(right))
    both = k.Concatenate(axis=-1)([stack(a), b, a * b, a + 1.0])
    return keras.Model([left, right], k.TimeDistributed(k.Dense(2))(both))


def words():
    return keras.Sequential(
        [
            k.Embedding(11, 6, mask_zero=True, input_length=12),
            k.Conv1D(4, 3, dilation_rate=2),
            k.GlobalMaxPooling1D(),
            k.Dense(1, activation="sigmoid"),
        ]
    )


OPTIMIZERS = {
    "chain": lambda: keras.optimizers.Adam(0.01),
    "image": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "words": lambda: keras.optimizers.legacy.Adam(0.01, decay=0.1),
}
LOSSES = {
    "chain": "sparse_categorical_crossentropy",
    "image": keras.losses.Huber(0.5),
    "words": "binary_crossentropy",
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for make in (chain, image, shared, words):
        name = make.__name__
        keras.utils.set_random_seed(len(name))
        model = make()
        rng = np.random.default_rng(0)
        if name == "words":
            inputs = [rng.integers(1, 11, size=(5, 12)).astype("int32")]
        else:
            inputs = [
                rng.normal(size=(5, *each.shape[1:])).astype("float32") for each in model.inputs
            ]
        outputs = model(inputs[0] if len(inputs) == 1 else inputs)
        if name in OPTIMIZERS:
            model.compile(OPTIMIZERS[name](), LOSSES[name], metrics=["accuracy"])
            labels = {"chain": np.arange(5) % 3, "words": np.arange(5) % 2}
            y = labels.get(name, np.ones(outputs.shape))
            model.fit(inputs[0], y, epochs=2, verbose=0)
        model.save(folder / f"{name}.h5")
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}_only.weights.h5")
        np.savez(folder / f"{name}.npz", *inputs, y=model.predict(inputs, verbose=0))
        if name in OPTIMIZERS:
            again = keras.models.load_model(folder / f"{name}.h5")
            for layer in again.layers:
                if isinstance(layer, k.Dropout):
                    layer.rate = 0.0
            again.fit(inputs[0], y, epochs=1, verbose=0, shuffle=False)
            weights = [w.numpy() for layer in again.layers for w in layer.weights]
            np.savez(folder / f"{name}_trained.npz", *weights)


main(Path(sys.argv[1]))
