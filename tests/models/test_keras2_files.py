"""Files of Keras 2 are read: whole models, weights alone, the optimizer's state; and .h5 files go
to Keras 3 and back."""

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from saved_models import MANY, X, chain, many, network, randomize

import isoconv
from isoconv.errors import FileError
from real_inputs import real_input

FILES = Path(__file__).parent / "keras2"
NAMES = ["chain", "image", "shared", "words"]


def arrays(name):
    with np.load(FILES / f"{name}.npz") as file:
        inputs = [file[f"arr_{i}"] for i in range(len(file.files) - 1)]
        return inputs if len(inputs) > 1 else inputs[0], file["y"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_models_predict_what_they_did_in_keras_2(name, suffix):
    x, y = arrays(name)
    predicted = isoconv.load_model(FILES / f"{name}{suffix}", compile=False).predict(x)
    np.testing.assert_allclose(predicted, y, atol=1e-5 * np.abs(y).max())


@pytest.mark.parametrize("name", NAMES)
def test_weights_alone_go_into_the_same_model(name):
    x, y = arrays(name)
    model = isoconv.load_model(FILES / f"{name}.h5", compile=False)
    model.set_weights([0 * each for each in model.get_weights()])
    model.load_weights(FILES / f"{name}_only.weights.h5")
    np.testing.assert_allclose(model.predict(x), y, atol=1e-5 * np.abs(y).max())


@pytest.mark.parametrize("name", ["chain", "image", "words"])
def test_training_goes_on_as_keras_2_would_have(name):
    """One more epoch, without dropout, with the state of Adam (of both ages) and of SGD."""
    x, y = arrays(name)
    model = isoconv.load_model(FILES / f"{name}.h5")
    assert int(model.optimizer.iterations.numpy()) == 2
    for layer in model.layers:
        if isinstance(layer, isoconv.layers.Dropout):
            layer.rate = 0.0
    labels = {"chain": np.arange(5) % 3, "words": np.arange(5) % 2}
    model.fit(x, labels.get(name, np.ones(y.shape)), epochs=1, shuffle=False, verbose=0)
    weights = [w for layer in model.layers for w in layer.weights]
    with np.load(FILES / f"{name}_trained.npz") as file:
        for number, weight in enumerate(weights):
            # TensorFlow's fused kernel for images keeps n / (n - 1) times the variance.
            near = 1e-4 if weight.name == "moving_variance" else 2e-5
            np.testing.assert_allclose(weight.numpy(), file[f"arr_{number}"], atol=near)


@pytest.mark.parametrize("make", [network, chain, many])
def test_h5_files_go_to_keras_3_and_back(make, tmp_path):
    x = MANY if make is many else X
    ours = randomize(make(isoconv))
    expected = ours.predict(x)
    y = np.zeros(expected.shape)
    ours.compile("adam", "mse", metrics=["accuracy", "mae"])
    ours.fit(x, y, verbose=0)
    ours.save(tmp_path / "ours.h5")
    same_optimizer(isoconv.load_model(tmp_path / "ours.h5"), ours)

    # Keras does not take over the state of an optimizer from such a file.
    theirs = keras.models.load_model(tmp_path / "ours.h5")
    np.testing.assert_allclose(theirs.predict(x, verbose=0), ours.predict(x), rtol=1e-5, atol=1e-6)
    theirs.compile("adam", "mse")
    theirs.fit(x, y, verbose=0)
    theirs.save(tmp_path / "theirs.h5")
    again = isoconv.load_model(tmp_path / "theirs.h5")
    np.testing.assert_allclose(again.predict(x), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    same_optimizer(again, theirs)


def same_optimizer(model, other):
    """Each variable beside the other's; Keras names them by longer paths, in the same order."""
    pairs = zip(model.optimizer.variables, other.optimizer.variables, strict=True)
    for one, two in pairs:
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_layers_are_found_by_name(tmp_path):
    k = isoconv.layers
    source = randomize(chain(isoconv))
    kept, new = source.layers[0], source.layers[-1]
    for suffix in (".h5", ".weights.h5"):
        other = isoconv.Sequential(
            [
                isoconv.Input((20, 3)),
                k.Conv1D(4, 3, name=kept.name),
                k.Dense(7, name=f"not_{new.name}"),
            ]
        )
        before = other.layers[1].get_weights()
        source.save_weights(tmp_path / f"source{suffix}")
        other.load_weights(tmp_path / f"source{suffix}", by_name=True)
        np.testing.assert_array_equal(other.layers[0].kernel.numpy(), kept.kernel.numpy())
        np.testing.assert_array_equal(other.layers[1].get_weights()[0], before[0])


def test_configs_of_the_first_keras_2_are_read(tmp_path):
    """A Sequential whose config is a list, the shape given to the first layer, `lr`, ndarrays."""
    first = {"name": "a", "batch_input_shape": [None, 6, 2], "dtype": "float32", "units": 3}
    conv = {"name": "b", "filters": 2, "kernel_size": [2], "strides": [1], "padding": "valid"}
    scaling = {"scale": 1.0, "mode": "fan_in", "distribution": "normal", "seed": None}
    conv["kernel_initializer"] = {"class_name": "VarianceScaling", "config": scaling}
    relu = {"name": "c", "max_value": {"type": "ndarray", "value": 6.0}}
    config = [
        {"class_name": "Dense", "config": first},
        {"class_name": "Conv1D", "config": conv},
        {"class_name": "ReLU", "config": relu},
    ]
    optimizer = {"class_name": "RMSprop", "config": {"lr": 0.5, "rho": 0.8, "decay": 0.0}}
    training = {"optimizer_config": optimizer, "loss": "mse", "metrics": ["acc"]}
    model = isoconv.Sequential([isoconv.Input((6, 2)), isoconv.layers.Dense(3, name="a")])
    model.add(isoconv.layers.Conv1D(2, 2, name="b"))
    model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "a") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config})
        file.attrs["training_config"] = json.dumps(training)
        file["model_weights"].attrs["keras_version"] = "2.0.4"
    read = isoconv.load_model(tmp_path / "model.h5")
    x = np.random.default_rng(0).normal(size=(3, 6, 2))
    np.testing.assert_array_equal(read.predict(x), np.clip(model.predict(x), 0, 6))
    assert float(read.optimizer.learning_rate.numpy()) == 0.5


def test_kernels_of_theano_are_turned_round(tmp_path):
    model = randomize(chain(isoconv))
    model.save_weights(tmp_path / "x.h5")
    kernel = model.layers[0].kernel.numpy().copy()
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file.attrs["backend"] = "theano"
    model.load_weights(tmp_path / "x.h5")
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), kernel[::-1])


def change_attribute(name, value):
    def change(file):
        file.attrs[name] = value

    return change


def drop_array(file):
    del file["model_weights/conv1d/conv1d/kernel:0"]


def link_outside(file):
    drop_array(file)
    file["model_weights/conv1d/conv1d/kernel:0"] = h5py.ExternalLink("elsewhere.h5", "/x")


def absurd_shape(file):
    drop_array(file)
    group = file["model_weights/conv1d/conv1d"]
    group.create_dataset("kernel:0", (1 << 40, 1 << 20), chunks=(1, 1), dtype="f4")


def unknown_layer(file):
    config = json.loads(file.attrs["model_config"])
    config["config"]["layers"][1] = {"class_name": "LSTM", "config": {"units": 3}}
    file.attrs["model_config"] = json.dumps(config)


def marshalled_lambda(file):
    config = json.loads(file.attrs["model_config"])
    code = {"name": "l", "function": ["4wEAAAA=\n", None, None], "function_type": "lambda"}
    config["config"]["layers"][1] = {"class_name": "Lambda", "config": code}
    file.attrs["model_config"] = json.dumps(config)


def keras_1(file):
    file["model_weights"].attrs["keras_version"] = "1.2.2"


BROKEN = {
    "a missing array": (drop_array, "kernel.* is missing"),
    "a link to another file": (link_outside, "is a link, which is not followed"),
    "an absurd shape": (absurd_shape, "expected"),
    "a config that is no JSON": (change_attribute("model_config", "{"), "model_config is damaged"),
    "a config that is a number": (change_attribute("model_config", "3"), "describes no model"),
    "no training config": (change_attribute("training_config", "[]"), "training_config is damaged"),
    "an unknown layer": (unknown_layer, "needs what isoconv does not have: LSTM"),
    "code": (marshalled_lambda, "Lambda"),
    "a file of Keras 1": (keras_1, "Open it with Keras 2 and save it again"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused(case, tmp_path):
    change, message = BROKEN[case]
    path = tmp_path / "broken.h5"
    path.write_bytes((FILES / "chain.h5").read_bytes())
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(FileError, match=message):
        isoconv.load_model(path)


def test_what_tensorflow_does_and_we_do_not_is_named(tmp_path):
    path = tmp_path / "shared.h5"
    data = (FILES / "shared.h5").read_bytes()
    path.write_bytes(data)
    with h5py.File(path, "a") as file:
        config = file.attrs["model_config"].replace("math.multiply", "math.cumulative_logsumexp")
        file.attrs["model_config"] = config
    with pytest.raises(FileError, match=r"does not have: tf\.math\.cumulative_logsumexp"):
        isoconv.load_model(path)


@pytest.mark.filterwarnings("ignore:Argument `alpha` is deprecated")
@pytest.mark.parametrize("name", ["CNN2s", "CNN5s", "OSCNN2s"])
def test_the_networks_for_ecg_quality_are_read(name):
    """Real files of Keras 2.12, against the same network in Keras 3."""
    path = real_input(f"ecg_quality/models/{name}.h5")
    ours = isoconv.load_model(path, compile=False)
    theirs = keras.models.load_model(path, compile=False)
    x = np.random.default_rng(0).normal(size=(3, *ours.inputs[0].shape[1:])).astype(np.float32)
    expected = theirs.predict(x, verbose=0)
    np.testing.assert_allclose(ours.predict(x), expected, atol=1e-5 * np.abs(expected).max())
