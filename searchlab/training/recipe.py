"""A trial's names and numbers made into Keras objects: model, optimizer, rates, loss, metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from searchlab.data import Array
from searchlab.models import FAMILIES, Family, Staged, Tuning
from searchlab.models.augment import AugmentOptions, infeasible
from searchlab.models.augmentation import augmented
from searchlab.optim import OPTIMIZERS, SCHEDULES, Schedule
from searchlab.optim.rate import EpochRates
from searchlab.records import TrainingPlan, Trial
from searchlab.seeds import derive
from searchlab.space import Pick
from searchlab.tasks import TASKS, Arrays, Encoding, Task
from searchlab.training import TrainingOptions
from searchlab.training.mixing import Mixing
from searchlab.training.order import Batches

DEFAULTS = {"optimizer": "adam", "schedule": "constant"}
"""What a space without these sections means."""


@dataclass(frozen=True)
class Recipe:
    """Everything that a trial's training is made from, checked, but with no model built yet."""

    plan: TrainingPlan
    encoding: Encoding
    seed: int
    task: Task
    task_options: Any
    family: Family
    family_options: Any
    optimizer: Pick
    schedule: Schedule
    schedule_options: Any
    training: TrainingOptions
    augment: AugmentOptions

    @classmethod
    def of(cls, trial: Trial, plan: TrainingPlan, encoding: Encoding) -> Recipe:
        """The recipe of `trial`."""
        params = trial.params
        task = TASKS.get(plan.task)
        model = params.pick("model")
        family = FAMILIES.get(model.name)
        schedule_pick = params.pick("schedule", DEFAULTS["schedule"])
        schedule = SCHEDULES.get(schedule_pick.name)
        return cls(
            plan=plan,
            encoding=encoding,
            seed=trial.seed,
            task=task,
            task_options=task.Options(**params.group("task")),
            family=family,
            family_options=family.Options(**plan.here(model.options)),
            optimizer=params.pick("optimizer", DEFAULTS["optimizer"]),
            schedule=schedule,
            schedule_options=schedule.Options(**schedule_pick.options),
            training=TrainingOptions(**params.group("training")),
            augment=AugmentOptions(**params.group("augment")),
        )

    @property
    def is_augmented(self) -> bool:
        """Whether training images are changed at random."""
        return bool(self.augment.on)

    def infeasible(self) -> str | None:
        """Why there is no such model; None when there is one."""
        problem = self.encoding.problem
        return self.family.infeasible(problem, self.family_options) or infeasible(problem, self.augment)

    def model(self) -> keras.Model:
        """The model with its first weights; all Keras's own randomness is seeded as well."""
        keras.utils.set_random_seed(derive(self.seed, "training"))
        return self.family.build(self.encoding.problem, self.family_options, self.seed)

    @property
    def tuning(self) -> Tuning | None:
        """How the pretrained body of the model is trained too; None where there is none, or it stays frozen."""
        return self.family.tuning(self.family_options) if isinstance(self.family, Staged) else None

    def kept(self, model: keras.Model) -> list[keras.Variable]:
        """The variables of `model` whose values are kept as its weights: all, but for a body that stays frozen."""
        if not isinstance(self.family, Staged) or self.tuning is not None:
            return list(model.weights)
        frozen = {id(variable) for variable in model.get_layer("body").weights}
        return [variable for variable in model.weights if id(variable) not in frozen]

    def trainable(self, model: keras.Model, seed: int) -> keras.Model:
        """What is trained in place of `model`: it has the same weights, and changes images on the way, by `seed`."""
        return augmented(model, self.encoding.problem, self.augment, seed) if self.augment.layers else model

    def batches(self, examples: Arrays) -> Batches:
        """The training examples in the order, and mixed in the way, of each epoch."""
        mixing = Mixing(self.task, self.augment.mixup, self.augment.cutmix, self.seed) if self.augment.mixes else None
        return Batches(examples, seed=self.seed, batch_size=self.training.batch_size, mixing=mixing)

    def steps(self, examples: int) -> int:
        """Optimizer steps in an epoch over so many `examples`."""
        return math.ceil(examples / self.training.batch_size)

    def compile(self, model: keras.Model, examples: int, slower: Sequence[float] = ()) -> EpochRates:
        """Give `model` its optimizer, loss and metrics; the rates are to be assigned before every epoch.

        `slower` has a factor for the rate of each of its trainable variables, where they differ.
        """
        optimizer = OPTIMIZERS.get(self.optimizer.name)
        options: Any = optimizer.Options(**self.optimizer.options)
        rates = EpochRates(options.learning_rate, self.steps(examples))
        clip_norm = self.training.clip_norm
        built = optimizer.build(options, rates, **({} if clip_norm is None else {"global_clipnorm": clip_norm}))
        rates.follow(built)
        _mend(built)
        if slower:
            _slow(built, slower)
        model.compile(
            optimizer=built,
            loss=self.task.loss(self.task_options, self.encoding),
            metrics=self.task.keras_metrics(self.encoding),
            jit_compile=self.plan.jit_compile,
        )
        return rates

    def factors(self, epoch: int, steps: int, history: Sequence[float]) -> Any:
        """The schedule's (steps,) factors for `epoch`, given the objectives of the epochs before as losses."""
        return self.schedule.factors(
            self.schedule_options,
            epoch=epoch,
            epochs=self.plan.epochs,
            steps=steps,
            history=history,
        )

    def rates(self, epoch: int, steps: int, history: Sequence[float]) -> Array:
        """The (steps,) float32 learning rates of `epoch`, as `EpochRates` computes them."""
        options: Any = OPTIMIZERS.get(self.optimizer.name).Options(**self.optimizer.options)
        factors = self.factors(epoch, steps, history)
        return np.float32(options.learning_rate) * np.asarray(factors, np.float32)


def _mend(optimizer: keras.optimizers.Optimizer) -> None:
    """Two faults of Keras 3.15 on TensorFlow 2.21, mended on this optimizer; other backends have neither.

    The sum of gradients over all replicas registers a gradient of its own at every trace, in a table that TensorFlow
    never empties and that holds the whole graph: 6 MB for each trial of a small MLP, for ever.  There is one replica.

    An embedding's gradient has one slice for each token read.  Its length and its squares are taken without adding up
    the slices of one token: `global_clipnorm`, Adam and their like then work with a gradient that is not the loss's.
    """
    if not hasattr(optimizer, "_all_reduce_sum_gradients"):
        return
    clip = optimizer._clip_gradients
    optimizer._all_reduce_sum_gradients = list
    optimizer._clip_gradients = lambda gradients: clip([_dense(gradient) for gradient in gradients])


def _slow(optimizer: keras.optimizers.Optimizer, factors: Sequence[float]) -> None:
    """Have `optimizer` multiply the rate of its variables by `factors`, in their order; weight decay is slowed too."""
    step = optimizer.update_step

    def factor(variable: Any) -> float:
        return factors[int(optimizer._get_variable_index(variable))]

    def update_step(gradient: Any, variable: Any, rate: Any) -> None:
        step(gradient, variable, rate * factor(variable))

    def decay(variables: Sequence[Any]) -> None:
        if optimizer.weight_decay is None:
            return
        for variable in variables:
            if optimizer._use_weight_decay(variable):
                rate = keras.ops.cast(optimizer.learning_rate, variable.dtype) * factor(variable)
                variable.assign(variable - variable * optimizer.weight_decay * rate)

    optimizer.update_step = update_step
    optimizer._apply_weight_decay = decay


def _dense(gradient: Any) -> Any:
    """`gradient` with its slices added up, where it comes in slices."""
    if not hasattr(gradient, "indices"):
        return gradient
    return keras.ops.scatter(keras.ops.expand_dims(gradient.indices, -1), gradient.values, tuple(gradient.shape))


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Inside, new layers have the dtype policy `policy`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def summary_of(model: keras.Model) -> str:
    """The model as Keras prints it, 100 columns wide."""
    lines: list[str] = []
    model.summary(print_fn=lines.append, line_length=100)
    return "\n".join(lines)
