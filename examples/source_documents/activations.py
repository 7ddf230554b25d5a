"""The page's other program: the activations of a one-dimensional network, by K.function."""

import numpy as np

import isoconv as keras
import isoconv.backend as K

# The page has a network and data of its own; these stand for them.
model = keras.Sequential(
    [
        keras.Input((40, 3)),
        keras.layers.Conv1D(8, 5),
        keras.layers.Activation("relu"),
        keras.layers.Dropout(0.5),
        keras.layers.Conv1D(4, 3, strides=2),
        keras.layers.Activation("tanh"),
    ]
)
training_data = np.random.default_rng(0).normal(size=(2, 7, 40, 3)).astype("float32")

# fmt: off
# all the model's activation layer output tensors
activation_output_tensors = [layer.output for layer in model.layers if type(layer) is keras.layers.Activation]

# make a function that computes activation layer outputs
activation_comp_function = K.function([model.input, K.learning_phase()], activation_output_tensors)

# 0 means learning phase = False (i.e. the model isn't learning right now)
activation_arrays = activation_comp_function([training_data[0,:-1], 0])
# fmt: on

first, second = activation_arrays
assert first.shape == (6, 36, 8)
assert second.shape == (6, 17, 4)
conv, activation, _, last, _ = model.layers
assert np.array_equal(first, np.maximum(conv(training_data[0, :-1]), 0))
assert np.array_equal(second, model.predict(training_data[0, :-1]))

# 1 means that it learns: Dropout takes part.
learning, changed = activation_comp_function([training_data[0, :-1], 1])
assert np.array_equal(learning, first)
assert not np.allclose(changed, second)
print([array.shape for array in activation_arrays])
