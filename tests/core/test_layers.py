"""The layer's contract: names, weights, losses, masks, configs, states, and errors."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest
from oracle import both, close, compare, numbers, share_weights

import isoconv
from isoconv import layers, ops
from isoconv.errors import ArgumentError, DtypeError, ShapeError
from isoconv.layers import Layer
from isoconv.ops.seeds import SeedGenerator


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, 3), (2, 1, 4, 3), (1, 1)])
@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"activation": "relu"}], ids=str)
def test_dense(shape, options):
    compare("Dense", numbers(*shape), 5, **options)


@pytest.mark.parametrize("shape", [(2, None), (3,), ()])
def test_dense_needs_channels(shape):
    with pytest.raises(ShapeError, match=r"Dense 'dense.*': input"):
        layers.Dense(3).build(shape)


@pytest.mark.parametrize("units", [0, -1, 2.0, "4", True, None])
def test_dense_needs_units(units):
    with pytest.raises(ArgumentError, match="units"):
        layers.Dense(units)


def test_names_count_up():
    isoconv.utils.clear_session()
    assert [layers.Conv1D(1, 1).name for _ in range(3)] == ["conv1d", "conv1d_1", "conv1d_2"]
    assert layers.Dense(1, name="mine").name == "mine"

    class HTTPRouter2DTranspose(Layer):
        pass

    expected = keras.src.utils.naming.to_snake_case("HTTPRouter2DTranspose")
    assert HTTPRouter2DTranspose().name == expected


def test_weights_are_variables():
    layer = layers.Dense(2)
    layer.build((None, 3))
    assert [weight.path for weight in layer.weights] == [
        f"{layer.name}/kernel",
        f"{layer.name}/bias",
    ]
    assert layer.kernel.shape == (3, 2)
    assert layer.kernel.dtype == "float32"
    assert layer.count_params() == 8
    layer.kernel.assign(np.ones((3, 2)))
    np.testing.assert_array_equal(layer(np.ones((1, 3))), [[3, 3]])
    layer.bias.assign_add(np.ones(2))
    np.testing.assert_array_equal(layer(np.ones((1, 3))), [[4, 4]])


def test_set_weights_changes_all_or_nothing():
    layer = layers.Dense(2)
    layer.build((None, 3))
    before = layer.get_weights()
    for wrong in ([np.ones((3, 2))], [np.ones((3, 2)), np.ones(3)], [np.ones((3, 2)), ["a", "b"]]):
        with pytest.raises((ShapeError, DtypeError), match="set_weights"):
            layer.set_weights(wrong)
    for mine, old in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, old)


def test_wrong_assignment_changes_nothing():
    variable = isoconv.Variable(np.ones(3))
    with pytest.raises(ShapeError):
        variable.assign(np.ones(4))
    with pytest.raises(DtypeError):
        variable.assign(np.array(["a", "b", "c"]))
    assert variable.version == 0
    np.testing.assert_array_equal(variable, np.ones(3))


def test_variables_compute_like_arrays():
    array = numbers(3, 4)
    variable = isoconv.Variable(array)
    np.testing.assert_array_equal(variable * 2 - 1, array * 2 - 1)
    np.testing.assert_array_equal(array / variable, np.ones((3, 4)))
    np.testing.assert_array_equal(variable[1:, ::2], array[1:, ::2])
    close(variable @ array.T, array @ array.T)
    np.testing.assert_array_equal(variable > 0, array > 0)
    assert np.sum(variable) == array.sum()
    assert float(isoconv.Variable(2.0)) == 2.0
    copy = variable.numpy()
    copy[:] = 0
    np.testing.assert_array_equal(variable.numpy(), array)


def test_trainable_and_other_weights():
    class Two(Layer):
        def build(self, input_shape):
            self.still = self.add_weight((2,), "zeros", trainable=False, name="still")
            self.moving = self.add_weight((2,), name="moving", initializer="ones")

    layer = Two()
    layer.build((None, 2))
    assert [w.name for w in layer.weights] == ["moving", "still"]
    assert [w.name for w in layer.trainable_weights] == ["moving"]
    layer.trainable = False
    assert layer.trainable_weights == []
    assert [w.name for w in layer.non_trainable_weights] == ["moving", "still"]
    layer.trainable = True
    assert len(layer.trainable_weights) == 1


def test_a_layer_frozen_before_it_is_built_has_frozen_weights():
    class Outer(Layer):
        def __init__(self):
            super().__init__()
            self.still, self.moving = layers.Dense(2, trainable=False), layers.Dense(3)

        def call(self, x):
            return self.moving(self.still(x))

    outer = Outer()
    outer(np.ones((2, 4)))
    assert [w.trainable for w in outer.weights] == [False, False, True, True]
    assert outer.trainable_weights == outer.moving.weights
    outer.still.trainable = True
    assert len(outer.trainable_weights) == 4


def test_sublayers_are_found_in_attributes_lists_and_dicts():
    class Nest(Layer):
        def __init__(self):
            super().__init__()
            self.one = layers.Dense(1)
            self.many = [layers.Dense(2), (layers.Dense(3),)]
            self.named = {"a": layers.Dense(4)}
            self.again = self.one

        def call(self, x):
            for layer in (self.one, self.many[0], self.many[1][0], self.named["a"]):
                x = layer(x)
            return x

    layer = Nest()
    assert layer(np.ones((2, 5))).shape == (2, 4)
    assert [w.shape for w in layer.weights] == [
        (5, 1), (1,), (1, 2), (2,), (2, 3), (3,), (3, 4), (4,)
    ]  # fmt: skip
    layer.trainable = False
    assert not layer.named["a"].trainable


def test_losses_and_penalties():
    class Active(Layer):
        def build(layer, shape):
            layer.built_for = shape

        def call(self, x):
            self.add_loss(ops.mean(x))
            return x

    inner = layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l2")
    outer = Active()
    inputs = isoconv.Input((3,))
    model = isoconv.Model(inputs, outer(inner(inputs)))
    x = numbers(4, 3).astype("float32")
    y = model(x)
    activity, mean, penalty = model.losses
    assert mean == pytest.approx(y.mean(), rel=1e-5)
    assert activity == pytest.approx(0.01 * (y**2).sum() / 4, rel=1e-5)
    assert penalty == pytest.approx(0.01 * (inner.kernel.numpy() ** 2).sum(), rel=1e-5)
    total = isoconv.value_and_grad(lambda x: (model(x), sum(model.losses))[1], model.weights)
    assert total(x)[0] == pytest.approx(float(activity + mean + penalty), rel=1e-5)
    inner.trainable = False
    model(x)
    assert len(model.losses) == 2


def test_activity_loss_is_keras():
    ours, theirs = both("Dense", 2, activity_regularizer="l2")
    x = numbers(4, 3)
    share_weights(ours, theirs, x.shape)
    ours(x), theirs(x)
    close(ours.losses[0], theirs.losses[0])


def test_states_and_randomness():
    class RunningMean(Layer):
        def build(self, input_shape):
            self.mean = self.add_weight((input_shape[-1],), "zeros", trainable=False, name="mean")

        def call(self, x, training=False):
            if training:
                self.mean.assign(self.mean * 0.5 + ops.mean(x, 0) * 0.5)
            return x - self.mean

    layer = RunningMean()
    x = np.ones((4, 2), "float32")
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer(x, training=True), x - 0.5)
    np.testing.assert_array_equal(layer(x, training=True), x - 0.75)
    np.testing.assert_array_equal(layer.mean, [0.75, 0.75])
    assert layer.mean.version == 2
    np.testing.assert_array_equal(layer(x), x - 0.75)


def test_dropout():
    x = np.ones((50, 40), "float32")
    layer = layers.Dropout(0.4, seed=1)
    assert layer(x) is not x
    np.testing.assert_array_equal(layer(x), x)
    first, second = layer(x, training=True), layer(x, training=True)
    assert (first != second).any()
    assert (first == 0).mean() == pytest.approx(0.4, abs=0.05)
    np.testing.assert_allclose(np.unique(first), [0, 1 / 0.6], rtol=1e-6)
    np.testing.assert_array_equal(layers.Dropout(0.4, seed=1)(x, training=True), first)
    assert not layer.weights
    assert len(layer.variables) == 1
    with pytest.raises(ArgumentError, match="rate"):
        layers.Dropout(1.5)


def test_gradient_of_dropout_uses_the_same_choices():
    x = np.ones((5, 8))
    layer = layers.Dropout(0.5, dtype="float64")
    y, pullback = isoconv.vjp(layer, x, training=True)
    dx, weights = pullback(np.ones_like(y))
    np.testing.assert_array_equal(dx, y)
    assert weights == []


def test_training_is_what_was_said_nearest():
    class Says(Layer):
        def call(self, x, training=None):
            return x * 0 + (1.0 if training else 0.0)

    class Around(Layer):
        def __init__(self, **how):
            super().__init__()
            self.inner, self.how = Says(), how

        def call(self, x):
            return self.inner(x, **self.how)

    x = np.zeros((1,))
    assert Says()(x) == 0
    assert Says()(x, training=True) == 1
    assert Around()(x, training=True) == 1
    assert Around(training=False)(x, training=True) == 0
    assert Around(training=True)(x) == 1


def test_changed_attributes_are_seen(compilations):
    class Scale(Layer):
        def __init__(self):
            super().__init__()
            self.factor = 2.0

        def call(self, x):
            return x * self.factor

    layer = Scale()
    outer = isoconv.Sequential([layer])
    assert outer(np.ones((1, 1))) == 2
    before = compilations()
    layer.factor = 2.0
    assert outer(np.ones((1, 1))) == 2
    assert compilations() == before
    layer.factor = 3.0
    assert layer(np.ones((1, 1))) == 3
    assert outer(np.ones((1, 1))) == 3


@isoconv.register_keras_serializable("tests")
class Plain(Layer):
    """A layer whose config is worked out from its arguments."""

    def __init__(self, factor, words=("a",), **kwargs):
        super().__init__(**kwargs)
        self.factor, self.words = factor, words

    def call(self, x):
        return x * self.factor


def test_config_of_a_layer_that_writes_none():
    layer = Plain(3.0, name="thrice")
    config = layer.get_config()
    assert config["factor"] == 3.0
    assert config["name"] == "thrice"
    again = isoconv.registry.deserialize(isoconv.registry.serialize(layer))
    assert isinstance(again, Plain)
    assert again(np.ones(1)) == 3

    class Odd(Layer):
        def __init__(self, thing):
            super().__init__()

    with pytest.raises(NotImplementedError, match="get_config"):
        Odd(object()).get_config()


def test_config_names_only_what_is_registered():
    data = isoconv.registry.serialize(layers.Dense(2, activation="relu"))
    assert data["module"] == "keras.layers"
    assert isoconv.registry.deserialize(data).activation.__name__ == "relu"
    for wrong in ("os.system", "Dens"):
        with pytest.raises(ArgumentError, match=r"registered|one of"):
            isoconv.registry.deserialize(data | {"class_name": wrong, "module": "os"})


def test_keras_reads_our_configs_and_we_read_theirs():
    ours = layers.Conv1D(4, 3, activation="relu", padding="causal", kernel_regularizer="l2")
    theirs = keras.layers.Conv1D.from_config(ours.get_config())
    assert theirs.padding == "causal"
    again = layers.Conv1D.from_config(theirs.get_config())
    assert again.get_config() == ours.get_config()


def test_layers_with_several_inputs_and_outputs():
    class Both(Layer):
        def build(self, a_shape, b_shape):
            self.shapes = (a_shape, b_shape)

        def call(self, a, b):
            return a + b, a - b

    layer = Both()
    total, difference = layer(np.ones((2, 3)), 2 * np.ones((2, 3)))
    np.testing.assert_array_equal(total, 3 * np.ones((2, 3)))
    np.testing.assert_array_equal(difference, -np.ones((2, 3)))
    assert layer.shapes == ((None, 3), (None, 3))
    a, b = isoconv.Input((3,)), isoconv.Input((3,))
    model = isoconv.Model([a, b], Both()(a, b))
    assert [y.shape for y in model.predict([np.ones((5, 3))] * 2)] == [(5, 3), (5, 3)]


def test_output_shape_without_a_formula():
    class Halve(Layer):
        def call(self, x):
            return x[:, ::2]

    assert Halve().compute_output_shape((None, 7, 3)) == (None, 4, 3)
    assert Halve().compute_output_shape((None, None, 3)) == (None, None, 3)
    layer = Halve()
    assert layer(isoconv.Input((9, 2))).shape == (None, 5, 2)
    assert layer.input_shape == (None, 9, 2)
    assert layer.output_shape == (None, 5, 2)


def test_what_no_layer_takes():
    dense = layers.Dense(2)
    for wrong in (np.array([["a"]]), np.array([[object()]]), "text"):
        with pytest.raises(DtypeError, match="Dense 'dense"):
            dense(wrong)
    assert not dense.built
    with pytest.raises(ArgumentError, match=r"super\(\).__init__"):
        type("Bare", (Layer,), {"__init__": lambda self: None})()(np.ones(1))
    with pytest.raises(NotImplementedError, match="call"):
        Layer()(np.ones(1))
    with pytest.raises(ShapeError, match="all known"):
        Layer().add_weight((None, 2))
    with pytest.raises(ArgumentError, match="name="):
        Layer().add_weight("kernel")
    with pytest.raises(AttributeError, match="called on no Input"):
        _ = layers.Dense(2).output
    with pytest.raises(ArgumentError, match="count_params"):
        layers.Dense(2).count_params()


def test_errors_name_the_innermost_layer():
    class Wrong(Layer):
        def call(self, x):
            return ops.transpose(x, (1, 1))

    model = isoconv.Sequential([layers.Dense(2), Wrong(name="culprit")])
    with pytest.raises(ShapeError, match=r"^Wrong 'culprit': transpose"):
        model(np.ones((2, 3)))


def test_one_layer_in_many_threads():
    layer = layers.Dense(4, dtype="float64")
    inputs = [numbers(i + 1, 3) for i in range(8)]
    results: dict[int, np.ndarray] = {}

    def work(index: int) -> None:
        results[index] = layer(inputs[index])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(layer.weights) == 2
    for i, x in enumerate(inputs):
        close(results[i], x @ layer.kernel.numpy() + layer.bias.numpy())


def test_floatx():
    isoconv.set_floatx("float64")
    try:
        assert layers.Dense(2)(np.ones((1, 2), "float32")).dtype == "float64"
        assert isoconv.Input((2,)).dtype == "float64"
    finally:
        isoconv.set_floatx("float32")
    with pytest.raises(ArgumentError):
        isoconv.set_floatx("float16")


def test_seeds_are_whole_numbers():
    with pytest.raises(ArgumentError, match="seed"):
        SeedGenerator(1.5)
