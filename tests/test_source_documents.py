"""The programs of web pages in examples/source_documents run, and what the pages claim holds."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import isoconv.backend as K
import isoconv.compat.tf1 as tf
from isoconv import Model, layers
from isoconv.errors import ArgumentError

FOLDER = Path(__file__).parents[1] / "examples" / "source_documents"


@pytest.fixture(autouse=True)
def _fresh_session():
    yield
    tf.reset_default_graph()
    K.clear_session()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_program_runs_and_its_claims_hold(path):
    runpy.run_path(str(path), run_name="__main__")


def test_all_programs_are_listed():
    listed = re.findall(r"\| `(\w+\.py)` \|", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(path.name for path in FOLDER.glob("*.py"))


def test_a_program_whose_claim_is_false_fails(tmp_path):
    text = (FOLDER / "conv1d_and_dense.py").read_text(encoding="utf-8")
    assert "filters=n, kernel_size=l," in text
    planted = tmp_path / "planted.py"
    planted.write_text(text.replace("filters=n, kernel_size=l,", "filters=n, kernel_size=l-1,"))
    with pytest.raises(ValueError, match="broadcast"):
        runpy.run_path(str(planted))


# -- the backend ------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(2, 3, 4))
ROOT = np.sqrt(np.maximum(X, 0))
BACKEND = [
    (K.sum, (X, 1), X.sum(1)),
    (K.mean, (X, -1, True), X.mean(-1, keepdims=True)),
    (K.sqrt, (X,), ROOT),
    (K.hard_sigmoid, (X,), np.clip(0.2 * X + 0.5, 0, 1)),
    (K.relu, (X, 0.1, 1.0, 0.2), np.minimum(np.where(X >= 0.2, X, 0.1 * (X - 0.2)), 1)),
    (K.argmax, (X,), X.argmax(-1)),
    (K.argmin, (X, 0), X.argmin(0)),
    (K.arange, (2, 8, 3), np.array([2, 5])),
    (K.permute_dimensions, (X, (2, 0, 1)), X.transpose(2, 0, 1)),
    (K.flatten, (X,), X.ravel()),
    (K.batch_flatten, (X,), X.reshape(2, 12)),
    (K.expand_dims, (X, -1), X[..., None]),
    (K.repeat, (X[0], 2), np.repeat(X[0][:, None], 2, 1)),
    (K.repeat_elements, (X, 2, 1), np.repeat(X, 2, 1)),
    (K.reverse, (X, 1), X[:, ::-1]),
    (K.gather, (X, np.array([1, 0])), X[[1, 0]]),
    (K.l2_normalize, (X, -1), X / np.linalg.norm(X, axis=-1, keepdims=True)),
    (K.switch, (X > 0, X, -X), np.abs(X)),
    (K.switch, (X > 0, lambda: X, lambda: X * 0), np.maximum(X, 0)),
    (K.bias_add, (X, np.arange(4.0)), X + np.arange(4.0)),
    (K.bias_add, (X, np.arange(3.0), "channels_first"), X + np.arange(3.0)[:, None]),
    (K.pool2d, (X[..., None], (3, 2), (1, 2)), X.reshape(2, 3, 2, 2).max((1, 3))[:, None, :, None]),
    (
        K.pool2d,
        (X[..., None], (3, 4), (1, 1), "valid", None, "avg"),
        X.mean((1, 2))[:, None, None, None],
    ),
    (K.in_train_phase, (X, -X, True), X),
    (K.in_test_phase, (X, lambda: -X, True), -X),
    (K.eye, (3,), np.eye(3)),
    (K.zeros, ((2, 3),), np.zeros((2, 3))),
    (K.ones, ((2,),), np.ones(2)),
    (K.constant, (2, None, (3,)), np.full(3, 2)),
]


@pytest.mark.parametrize(("function", "args", "expected"), BACKEND)
def test_backend_computes_at_once(function, args, expected):
    found = K.eval(function(*args))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_backend_functions_draw_and_run():
    x = K.placeholder((None, 4))
    assert K.is_placeholder(x)
    total = K.sum(K.square(x), axis=-1)
    assert K.is_keras_tensor(total)
    assert not K.is_placeholder(total)
    run = K.function([x], {"total": total, "double": x * 2})
    data = np.arange(8.0).reshape(2, 4)
    found = run([data])
    np.testing.assert_allclose(found["total"], (data**2).sum(-1))
    np.testing.assert_allclose(found["double"], data * 2)


def test_variables_are_read_and_changed():
    x = K.variable([[1, 2], [3, 4]])
    assert (K.dtype(x), K.int_shape(x), K.ndim(x), K.count_params(x)) == ("float32", (2, 2), 2, 4)
    K.update_add(x, np.ones((2, 2)))
    K.update_sub(x, K.eval(x) / 2)
    np.testing.assert_array_equal(K.get_value(x), [[1, 1.5], [2, 2.5]])
    K.batch_set_value([(x, np.zeros((2, 2)))])
    assert K.batch_get_value([x])[0].sum() == 0


def test_function_takes_several_inputs_the_phase_and_tensors_from_within():
    first, second = layers.Input((12, 3)), layers.Input((12, 2))
    a = layers.Conv1D(4, 3)(first)
    b = layers.Dropout(0.5)(layers.Conv1D(4, 3)(second))
    joined = layers.Add()([a, b])
    y = layers.Dense(2)(layers.Flatten()(joined))
    model = Model([first, second], y)
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(5, 12, n)).astype("float32") for n in (3, 2)]
    run = K.function([*model.inputs, K.learning_phase()], [a, joined, y])
    seen = run([*data, 0.0])
    np.testing.assert_array_equal(seen[2], model(data))
    assert not np.array_equal(run([*data, 1.0])[2], seen[2])
    np.testing.assert_array_equal(K.function([first], [a])([data[0]])[0], seen[0])
    np.testing.assert_array_equal(K.function([joined], y)([seen[1]]), seen[2])
    with pytest.raises(ArgumentError, match="all the outputs need"):
        K.function([first], [y])


def test_the_learning_phase_is_given_set_or_off():
    inputs = layers.Input((50,))
    dropped = layers.Dropout(0.5)(inputs)
    data = np.ones((1, 50))
    run = K.function([inputs], [dropped])
    assert (run([data])[0] == 1).all()
    K.set_learning_phase(1)
    assert K.learning_phase() == 1
    assert (run([data])[0] != 1).all()
    given = K.function([inputs, K.learning_phase()], [dropped])
    assert (given([data, 0])[0] == 1).all()
    K.clear_session()
    assert (run([data])[0] == 1).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: K.eval(K.placeholder((None, 2))), r"eval: expected a value that is known now"),
        (K.placeholder, "neither shape nor ndim"),
        (lambda: K.set_learning_phase(2), "expected 0 or 1; got 2"),
        (lambda: K.function([x := K.placeholder((2,))], [x])([]), "function: expected 1"),
        (lambda: tf.placeholder(tf.float32), r"Write \[None, ...\]"),
        (lambda: tf.Session().run("x"), "tensors, variables or initializers; got 'x'"),
        (lambda: tf.layers.dense(tf.placeholder(tf.float32, [None, 2]), unit=3), "tf.layers.dense"),
        (lambda: tf.nn.convolution(X, X, "causal"), "expected VALID or SAME; got 'causal'"),
    ],
)
def test_mistakes_are_explained(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        wrong()


# -- TensorFlow 1 -----------------------------------------------------------------------------


def test_sessions_have_values_of_their_own():
    x = tf.placeholder(tf.float32, [None, 3])
    y = tf.layers.dense(x, 2, kernel_initializer=tf.random_normal_initializer())
    data = {x: np.ones((1, 3))}
    with tf.Session() as first, tf.Session() as second:
        with pytest.raises(ArgumentError, match="no value in this session"):
            first.run(y, data)
        for session in (first, second):
            assert session.run(tf.global_variables_initializer()) is None
        assert not np.array_equal(first.run(y, data), second.run(y, data))
        with pytest.raises(ArgumentError, match="expected also 'Placeholder'"):
            first.run(y)
        kernel = first.run({"kernel": tf.trainable_variables()[0]})["kernel"]
        np.testing.assert_allclose(first.run(y, data)[0], kernel.sum(0), rtol=1e-6)
    with pytest.raises(ArgumentError, match="a closed session"):
        first.run(y, data)


def test_a_seed_makes_every_session_begin_alike():
    found = []
    for _ in range(2):
        tf.reset_default_graph()
        tf.random.set_random_seed(7)
        x = tf.placeholder(tf.float32, [None, 8, 3])
        y = tf.nn.relu(tf.layers.separable_conv1d(x, 4, 3))
        for _ in range(2):
            session = tf.Session()
            session.run(tf.global_variables_initializer())
            found.append(session.run(y, {x: np.ones((1, 8, 3))}))
    assert all(np.array_equal(found[0], each) for each in found[1:])


@pytest.mark.parametrize("arguments", [{}, {"strides": (2, 1)}, {"dilation_rate": (1, 2)}])
def test_convolution_takes_channels_at_either_place(arguments):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 6, 7, 3)), rng.normal(size=(2, 3, 3, 4))
    last = tf.nn.convolution(x, kernel, "SAME", **arguments)
    first = tf.nn.convolution(
        x.transpose(0, 3, 1, 2), kernel, "SAME", data_format="NCHW", **arguments
    )
    np.testing.assert_array_equal(np.moveaxis(np.asarray(first), 1, -1), last)
    layer = layers.Conv2D(4, (2, 3), padding="same", use_bias=False, **arguments)
    layer.build(x.shape)
    layer.set_weights([kernel])
    np.testing.assert_allclose(last, layer(x), atol=1e-5)


def test_a_name_used_again_shares_its_weights():
    x = tf.placeholder(tf.float32, [None, 6, 6, 2])
    once = tf.layers.flatten(tf.layers.conv2d(x, 3, 2, name="shared"))
    again = tf.layers.flatten(tf.layers.conv2d(x, 3, 2, name="shared", reuse=True))
    with pytest.raises(ArgumentError, match="reuse=True shares"):
        tf.layers.conv2d(x, 3, 2, name="shared")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        data = {x: np.random.default_rng(0).normal(size=(2, 6, 6, 2))}
        one, two = session.run([once, again], data)
    assert np.array_equal(one, two)
    assert len(tf.global_variables()) == 2
