"""Callbacks by Keras' names: told of training as it goes on, and able to act on it."""

from isoconv.training.callbacks.backup import BackupAndRestore
from isoconv.training.callbacks.base import (
    Callback,
    CallbackList,
    History,
    LambdaCallback,
    Logs,
)
from isoconv.training.callbacks.files import CSVLogger, ModelCheckpoint
from isoconv.training.callbacks.finite import TerminateOnNaN
from isoconv.training.callbacks.monitors import EarlyStopping
from isoconv.training.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from isoconv.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "Logs",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
