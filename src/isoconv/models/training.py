"""Training: what a model is compiled with, and the step that is made of it.

A step is one compiled program: forward, losses, gradients, optimizer, states and metrics. It
changes variables only inside its call, so that whatever interrupts training leaves the weights of
the last finished step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from isoconv import registry
from isoconv.autodiff import gradients
from isoconv.errors import ArgumentError, explain
from isoconv.layers.tracking import Tracking
from isoconv.models.steps import Step
from isoconv.ops import tree
from isoconv.training import optimizers
from isoconv.training.batches import unpack
from isoconv.training.metrics import Mean, Metric
from isoconv.training.objective import Objective, config_of

if TYPE_CHECKING:
    from isoconv.layers.base import Layer
    from isoconv.models.network import Network

    _Base = Layer
else:
    _Base = object


class Way(NamedTuple):
    """How steps are made besides what they compute.

    keeps_finite: whether one whose loss is NaN or infinite leaves all variables as they were.
    memory: "low" where values are computed again rather than kept, else "default".
    """

    keeps_finite: bool = False
    memory: str = "default"


class Training(_Base):
    """`compile`, the steps, and single batches, for a model."""

    bookkeeping = Tracking.bookkeeping | {
        "optimizer",
        "loss",
        "compiled",
        "stop_training",
        "history",
    }

    optimizer: Any = None
    loss: Any = None
    compiled: bool = False
    stop_training: bool = False
    _compile_arguments: Mapping[str, Any] = {}
    _objective: Objective | None = None
    _loss_tracker: Mean | None = None
    _steps: tuple[Step, Step] | None = None
    _keeps_finite: bool = False
    _memory: str = "default"

    if TYPE_CHECKING:

        @property
        def network(self) -> Network | None: ...

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        memory: str = "default",
    ) -> None:
        """Says how the model is trained.

        optimizer, loss, metrics: names, objects or functions of (y_true, y_pred); one loss for all
        outputs, or a list or dict of them; metrics as a list, or for several outputs a list or
        dict of lists. loss_weights: what losses are multiplied by in their sum. weighted_metrics:
        metrics that heed sample weights. memory: "low" keeps about the square root of the layers'
        outputs for the way back, and computes the others again: less memory (`step_bytes` says how
        much), about a third more time, the same bits. run_eagerly, steps_per_execution,
        jit_compile, auto_scale_loss: taken for Keras' sake: a step is always compiled, and never
        more than one.
        """
        if memory not in ("default", "low"):
            where = self.where("compile: memory")
            raise ArgumentError(explain(where, repr(memory), "'default' or 'low'"))
        self.optimizer = optimizers.get(optimizer)
        if not isinstance(self.optimizer, optimizers.Optimizer):
            where = self.where("compile: optimizer")
            raise ArgumentError(explain(where, repr(optimizer), "an optimizer or its name"))
        self.loss = loss
        self._compile_arguments = {
            "optimizer": self.optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        names = self._names_of_outputs()
        self._objective = Objective(loss, loss_weights, metrics, weighted_metrics, names)
        self._loss_tracker = Mean("loss")
        self._memory = memory
        self._steps = None
        self.compiled = True

    def _names_of_outputs(self) -> list[str] | None:
        """The layers that made the outputs of a drawn model, as Keras names outputs."""
        if self.network is None or isinstance(self.network.outputs, dict):
            return None
        return [
            tensor.name if tensor.call is None else tensor.call.name
            for tensor in self.network.flat_outputs
        ]

    def require_compiled(self, task: str) -> Objective:
        """What the model was compiled with; ArgumentError, which names `task`, where it was not."""
        if self._objective is None:
            remedy = "Call compile(optimizer, loss) first."
            where = self.where(task)
            raise ArgumentError(explain(where, "a model not compiled", "a compiled one", remedy))
        return self._objective

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile` as data; empty where it was not called."""
        if not self.compiled:
            return {}
        return {name: config_of(value) for name, value in self._compile_arguments.items()}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Calls `compile` with the arguments in `config`, and makes the optimizer's variables."""
        arguments = {
            name: registry.deserialize(value, _KINDS.get(name)) for name, value in config.items()
        }
        self.compile(**arguments)
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_steps": None}

    @property
    def way_of_training(self) -> Way:
        """How steps are made besides what they compute."""
        return Way(self._keeps_finite, self._memory)

    # -- the step ------------------------------------------------------------------------------

    def train_step(self, data: Any) -> dict[str, Any]:
        """What one step computes, in isoconv.ops: a batch in, numbers for the logs out.

        data: (x, y, sample_weight), (x, y) or x, as `fit` was given them. A subclass may write its
        own: what it assigns to variables is kept.
        """
        x, y, sample_weight = unpack(data)
        y_pred = self(x, training=True)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        self._track_loss(loss, x)
        weights = self.trainable_variables
        low = self.way_of_training.memory == "low"
        self.optimizer.apply(gradients(loss, weights, recompute=low), weights)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Like `train_step` of `data`, without training."""
        x, y, sample_weight = unpack(data)
        y_pred = self(x, training=False)
        self._track_loss(self.compute_loss(x, y, y_pred, sample_weight, training=False), x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of a batch: those compiled, those added by layers, penalties on weights.

        x, y, sample_weight: the batch. y_pred: what the model gives for it. training: whether it
        trains.
        """
        objective = self.require_compiled("compute_loss")
        own = objective.loss(y, y_pred, sample_weight)
        found = [*([] if own is None else [own]), *self.losses]
        if not found:
            remedy = "Give compile a loss."
            raise ArgumentError(explain(self.where(), "nothing to minimise", "a loss", remedy))
        return sum(found[1:], found[0])

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Lets the metrics see a batch, and gives all results by name.

        x, y, sample_weight: the batch. y_pred: what the model gives for it.
        """
        self.require_compiled("compute_metrics").update(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """The results of all metrics by name, the mean loss first."""
        objective = self.require_compiled("get_metrics_result")
        tracker = self._loss_tracker
        found = {} if tracker is None else {"loss": tracker.result()}
        return found | objective.results()

    def _track_loss(self, loss: Any, x: Any) -> None:
        if self._loss_tracker is not None:
            batch = next(tree.leaves(x)).dims[0]
            self._loss_tracker.update_state(loss, sample_weight=batch)

    @property
    def step_bytes(self) -> int:
        """The peak of what training steps took besides data, weights and the optimizer's state:
        the bytes of the largest arena of values in between, of the batches trained on so far.
        """
        return 0 if self._steps is None else self._steps[0].arena_bytes

    @property
    def metrics(self) -> list[Metric]:
        """The mean loss and the metrics compiled; those that depend on shapes once these are
        known.
        """
        if self._objective is None or self._loss_tracker is None:
            return []
        return [self._loss_tracker, *self._objective.all_metrics]

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Starts all metrics anew."""
        for metric in self.metrics:
            metric.reset_state()

    @contextmanager
    def learning_shapes(self) -> Iterator[None]:
        """Where tracing a step fails inside, what it was the first to learn of the labels' shapes
        is forgotten: the labels may have been at fault.
        """
        objective = self.require_compiled("a step")
        before = objective.resolved
        try:
            yield
        except Exception:
            objective.resolved = before
            raise

    def training_steps(self) -> tuple[Step, Step]:
        """The compiled `train_step` and `test_step`."""
        if self._steps is None:
            self._steps = Step(self, self.train_step), Step(self, self.test_step)
        return self._steps


_KINDS = {
    "optimizer": "optimizers",
    "loss": "losses",
    "metrics": "metrics",
    "weighted_metrics": "metrics",
}
