"""Pairs of layers and chains of ordinary sizes, with the relation of each: (a, b, shape, relation).

They are decided in a test, and timed by bench.py. b's input has the shape of a's unless a second
shape is given.
"""

TEN = 10


def _chain(layer, last="", count=TEN):
    return " > ".join([layer] * (count - bool(last)) + [last] * bool(last))


LAYERS = [
    ("Conv1D(64, 3)", "Conv2D(64, (3, 300))", [(600, 300), (600, 300, 1)], "equal"),
    ("Conv1D(64, 1)", "Dense(64)", (600, 300), "equal"),
    ("Conv1D(256, 80)", "Flatten() > Dense(256)", (80, 1), "equal"),
    ("Conv1D(64, 3)", "Conv2D(64, 3)", [(100, 32), (100, 32, 1)], "different"),
    ("Conv1D(64, 5)", "Conv1D(64, 3, padding='causal')", (100, 32), "different"),
    ("Conv1D(64, 3, padding='same')", "Conv1D(64, 3, padding='causal')", (100, 32), "different"),
    (
        "Conv1D(64, 3, strides=2, padding='same')",
        "ZeroPadding1D(1) > Conv1D(64, 3, strides=2)",
        (12, 32),
        "different",
    ),
    ("Conv1D(64, 3, groups=4)", "Conv1D(64, 3)", (100, 32), "a_within_b"),
    ("Conv1D(64, 3)", "SeparableConv1D(64, 3)", (100, 32), "b_within_a"),
    ("SeparableConv2D(64, 3)", "Conv2D(64, 3)", (28, 28, 16), "a_within_b"),
    ("Conv2D(64, 3)", "Conv2D(64, 3, data_format='channels_first')", (16, 16, 16), "different"),
    ("DepthwiseConv2D(3)", "Conv2D(16, 3, groups=16)", (28, 28, 16), "equal"),
    ("DepthwiseConv2D(3)", "Conv2D(16, 3)", (28, 28, 16), "a_within_b"),
    ("Conv2D(64, 3, dilation_rate=2)", "Conv2D(64, 5)", (28, 28, 16), "a_within_b"),
    (
        "AveragePooling1D(3, strides=1, padding='same')",
        "DepthwiseConv1D(3, padding='same', use_bias=False)",
        (100, 16),
        "different",
    ),
    (
        "AveragePooling2D(3, strides=1, padding='same')",
        "DepthwiseConv2D(3, padding='same', use_bias=False)",
        (28, 28, 16),
        "different",
    ),
    (
        "SeparableConv1D(64, 3)",
        "DepthwiseConv1D(3, activation='relu') > Conv1D(64, 1)",
        (100, 32),
        "different",
    ),
    ("Conv1D(64, 3) > Conv1D(64, 3)", "Conv1D(64, 5)", (100, 32), "a_within_b"),
    (
        "Conv1D(32, 3, activation='relu') > Conv1D(64, 3)",
        "Conv1D(64, 5)",
        (100, 32),
        "different",
    ),
    ("Conv1D(64, 3) > BatchNormalization()", "Conv1D(64, 3)", (100, 32), "a_within_b"),
    (
        "BatchNormalization() > Conv1D(64, 3, padding='same')",
        "Conv1D(64, 3, padding='same')",
        (100, 32),
        "different",
    ),
    ("Conv1D(64, 3, activation='relu')", "Conv1D(64, 3) > ReLU()", (100, 32), "equal"),
    (
        "Conv1D(64, 3, activation='relu')",
        "Conv1D(64, 3, activation='tanh')",
        (100, 32),
        "different",
    ),
    ("MaxPooling1D(2)", "AveragePooling1D(2)", (100, 32), "different"),
    ("MaxPooling2D(2)", "MaxPooling2D(3, strides=2, padding='same')", (112, 112, 64), "different"),
    ("AveragePooling2D(7)", "GlobalAveragePooling2D()", (7, 7, 512), "equal"),
    (
        "Conv1D(250, 3, activation='relu') > GlobalMaxPooling1D()",
        "Conv1D(250, 3) > GlobalMaxPooling1D() > ReLU()",
        (400, 50),
        "equal",
    ),
    ("Conv2D(64, 3, groups=32)", "Conv2D(64, 3, groups=16)", (56, 56, 64), "a_within_b"),
    ("Dense(5) > Dense(10)", "Dense(10)", (100,), "a_within_b"),
    ("Conv1D(4, 3, padding='same')", "Flatten() > Dense(400)", (100, 8), "a_within_b"),
    (
        "Conv2D(64, 7, strides=2, padding='same')",
        "ZeroPadding2D(3) > Conv2D(64, 7, strides=2)",
        (224, 224, 3),
        "different",
    ),
    (
        "Conv3D(16, 3)",
        "Conv3D(16, 3, padding='same') > Cropping3D(1)",
        (12, 12, 12, 8),
        "equal",
    ),
    (
        "Embedding(1000, 50) > Conv1D(64, 3)",
        "Embedding(1000, 50) > Conv1D(64, 5)",
        (100,),
        "different",
    ),
]

CHAINS = [
    (_chain("Conv1D(16, 3)"), "Conv1D(16, 21)", (100, 16), "a_within_b"),
    (
        _chain("Conv1D(16, 3, activation='relu')"),
        _chain("Conv1D(16, 3) > ReLU()"),
        (100, 16),
        "equal",
    ),
    (
        _chain("Conv1D(16, 3, activation='relu')"),
        _chain("Conv1D(16, 3, activation='relu')", "Conv1D(16, 3)"),
        (100, 16),
        "different",
    ),
    (
        _chain("Conv2D(16, 3, padding='same', activation='relu')"),
        _chain(
            "Conv2D(16, 3, padding='same', activation='relu')",
            "Conv2D(16, 5, padding='same', activation='relu')",
        ),
        (28, 28, 16),
        "a_within_b",
    ),
    (
        _chain("Conv2D(16, 3, padding='same', activation='relu')"),
        " > ".join(
            [
                _chain("Conv2D(16, 3, padding='same', activation='relu')", count=5),
                "Conv2D(16, 3, padding='same')",
                _chain("Conv2D(16, 3, padding='same', activation='relu')", count=4),
            ]
        ),
        (28, 28, 16),
        "unknown",
    ),
    (
        _chain("SeparableConv1D(16, 3, padding='same', activation='relu')"),
        _chain(
            "DepthwiseConv1D(3, padding='same', use_bias=False) > Conv1D(16, 1, activation='relu')"
        ),
        (100, 16),
        "equal",
    ),
]
