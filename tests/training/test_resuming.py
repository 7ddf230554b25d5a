"""Training that was stopped or killed goes on with the same bits; a full disk costs no file."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from resumed import EPOCHS, X, Y, bits, network, train

import isoconv
from isoconv import callbacks, layers
from isoconv.errors import ArgumentError, FileError


class Stop(callbacks.Callback):
    """Interrupts the training after so many batches."""

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def interrupted(folder, batches, save_freq="epoch", **options):
    """The model and history of a training that was interrupted and started again."""
    backup = callbacks.BackupAndRestore(folder / "backup", save_freq)
    with pytest.raises(KeyboardInterrupt):
        train(network(), [backup, Stop(batches)], **options)
    assert (folder / "backup").exists() == (batches > (6 if save_freq == "epoch" else save_freq))
    model = network()
    history = train(model, [callbacks.BackupAndRestore(folder / "backup", save_freq)], **options)
    assert not (folder / "backup").exists()
    return model, history


@pytest.fixture(scope="module")
def whole():
    model = network()
    return model, train(model)


@pytest.mark.parametrize(("batches", "save_freq"), [(3, "epoch"), (20, "epoch"), (22, 4), (25, 1)])
def test_goes_on_with_the_same_bits(tmp_path, whole, batches, save_freq):
    model, history = interrupted(tmp_path, batches, save_freq)
    assert bits(model) == bits(whole[0])
    assert history == whole[1]


def test_a_fault_in_the_state_is_caught(tmp_path, whole):
    backup = callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(network(), [backup, Stop(20)])
    path = tmp_path / "training.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["v0"] = arrays["v0"] * np.float32(1 + 1e-6)
    np.savez(path, **arrays)
    model = network()
    train(model, [callbacks.BackupAndRestore(tmp_path)])
    assert bits(model) != bits(whole[0])


@pytest.mark.filterwarnings("ignore:.*the data ended after 2 of 4 batches")
def test_fewer_steps_than_there_are(tmp_path):
    """The epoch after one that ends in the middle of the samples goes on there, to their end."""
    model = network()
    history = train(model, steps_per_epoch=4)
    again, found = interrupted(tmp_path, 10, steps_per_epoch=4, save_freq=3)
    assert bits(again) == bits(model)
    assert found == history


def test_batches_that_are_indexed(tmp_path):
    class Pairs:
        def __len__(self):
            return 6

        def __getitem__(self, place):
            return X[8 * place : 8 * place + 8], Y[8 * place : 8 * place + 8]

    def run(*more):
        model = network()
        model.fit(Pairs(), epochs=3, callbacks=list(more), verbose=0)
        return bits(model)

    expected = run()
    with pytest.raises(KeyboardInterrupt):
        run(callbacks.BackupAndRestore(tmp_path, 4), Stop(11))
    assert run(callbacks.BackupAndRestore(tmp_path, 4)) == expected


def test_threads_change_no_bit(whole):
    with isoconv.settings.limit_threads(1):
        model = network()
        train(model)
    assert bits(model) == bits(whole[0])


def test_killed_at_random_times(tmp_path, whole):
    """At most the epoch in progress is lost, no file is ever damaged, the bits are the same."""
    script = Path(__file__).with_name("resumed.py")
    rng, kills = random.Random(7), 0
    while not (tmp_path / "bits").exists():
        begun = epochs_begun(tmp_path)
        process = subprocess.Popen([sys.executable, script, tmp_path], cwd=tmp_path)
        while kills < 3 and len(epochs_begun(tmp_path)) == len(begun) and process.poll() is None:
            time.sleep(0.001)
        if kills < 3:
            time.sleep(rng.random() * 0.02)
            process.send_signal(signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        kills += killed
        assert killed or process.returncode == 0
        again = epochs_begun(tmp_path)[len(begun) :]
        if begun and again:
            assert again[0] >= begun[-1]
        if (tmp_path / "model.keras").exists():
            assert isoconv.load_model(tmp_path / "model.keras").predict(X).shape == (60, 1)
    assert kills == 3
    assert (tmp_path / "bits").read_bytes() == bits(whole[0])


def epochs_begun(folder):
    log = folder / "log"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


# -- a full disk ------------------------------------------------------------------------------


@pytest.fixture
def full_disk(monkeypatch):
    """Files cannot grow beyond 2 kB."""
    # Python would leave the half of a module's byte code to whoever imports that next.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("name", ["model.keras", "some.weights.h5", "old.h5", "training.npz"])
def test_a_full_disk_leaves_the_old_file(tmp_path, full_disk, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    model = network()
    backup = callbacks.BackupAndRestore(tmp_path)
    backup.on_train_begin = lambda logs=None: None
    write = {
        "model.keras": lambda: model.save(path),
        "old.h5": lambda: model.save_weights(path),
        "some.weights.h5": lambda: model.save_weights(path),
        "training.npz": lambda: train(model, [backup]),
    }[name]
    with pytest.raises(OSError, match="File too large"):
        write()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [name]


# -- what does not fit ------------------------------------------------------------------------


def test_a_backup_of_another_model_changes_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(network(), [callbacks.BackupAndRestore(tmp_path), Stop(20)])
    other = isoconv.Sequential([isoconv.Input((6,)), layers.Dense(1)])
    other.compile("adam", "mse")
    before = other.get_weights()
    with pytest.raises(FileError, match=r"expected those of the .* variables of this model"):
        other.fit(X, Y, epochs=EPOCHS, callbacks=callbacks.BackupAndRestore(tmp_path), verbose=0)
    for old, new in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert (tmp_path / "training.npz").exists()


def test_damaged_backups_are_refused(tmp_path):
    path = tmp_path / "training.npz"
    path.write_bytes(b"PK\x03\x04 nothing")
    model = network()
    before = bits(model)
    with pytest.raises(FileError, match="no backup, or a damaged one"):
        train(model, [callbacks.BackupAndRestore(tmp_path)])
    np.savez(path, plain=np.array("{}"))
    with pytest.raises(FileError, match="expected all parts of a backup"):
        train(model, [callbacks.BackupAndRestore(tmp_path)])
    assert bits(model) == before
    with pytest.raises(ArgumentError, match="save_freq: expected 'epoch' or a number of batches"):
        callbacks.BackupAndRestore(tmp_path, save_freq="hour")
