"""A training under way: its steps, its progress, its saved states.

Here: what is done in which order, resumable at any moment.
Not here: a step's loss and gradients (contrastive/, causal/), the process (worker.py).
"""

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from safetensors import safe_open
from transformers import get_scheduler

from resources.training import TrainingJob, TrainingResult
from resources.training.folders import StateFolder
from resources.training.hyperparameters import Stepping
from resources.training.progress import Stepped
from resources.training.stepping.memory import Memory
from resources.training.stepping.processes import is_sharded

_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
"""Names of ours -> those of transformers."""
_PROGRESS = "progress.json"
"""What a saved state tells beside weights, optimizer and random numbers. States travel through the
lake, and what accelerate would make of it, a pickle, can run anything when it is read."""
_FORM = 2
_VERSIONS = ("torch", "transformers", "accelerate", "peft")
"""What decides how a state is laid out: a state of another form or version is not taken up."""
_NORM = 1.0
"""Gradients are clipped to this L2 norm."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What one step came to."""

    loss: float
    texts: int
    """Texts, or blocks of text, over all processes."""


class Lesson(Protocol):
    """What a run learns from, step by step."""

    def learn(self, step: int) -> Learned:
        """Leave the gradients of a step, counted from 0, at the model's weights."""
        ...

    def named(self, step: int) -> str:
        """Where the batch of a step is found, for people."""
        ...


class Run:
    """A model, what moves its weights, and the things done with them."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: torch.nn.Module,
        settings: Stepping,
        total: int,
        log: Callable[[str], None],
    ) -> None:
        """Put everything on the device, for `total` steps."""
        self.accelerator, self.total = accelerator, total
        self._settings, self._log = settings, log
        self._since = time.monotonic()
        self._done = self._texts = 0
        self._losses: list[float] = []
        self._prepare(model)
        self.memory = Memory(accelerator, self.model, settings.micro_batch, log)
        accelerator.register_save_state_pre_hook(_leave_out_frozen)

    def _prepare(self, model: torch.nn.Module) -> None:
        """No wrapper of torch's: lessons and processes.py do what DDP would."""
        settings, sharded = self._settings, is_sharded(self.accelerator)
        optimizer = torch.optim.AdamW(
            [weight for weight in model.parameters() if weight.requires_grad],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=not sharded,
        )
        self._schedule = get_scheduler(
            _SCHEDULES[settings.schedule],
            optimizer,
            round(settings.warmup_ratio * self.total),
            self.total,
        )
        self.model: torch.nn.Module
        if sharded:
            self.model, self._optimizer = self.accelerator.prepare(model, optimizer)
        else:
            self.model = self.accelerator.prepare_model(model, evaluation_mode=True)
            self._optimizer = self.accelerator.prepare_optimizer(optimizer)

    def resume(self, job: TrainingJob, made_of: Sequence[str]) -> None:
        """Take up the last saved state, if there is one of the very same training.

        Args:
            job: Whose states.
            made_of: Digests of base model and texts.
        """
        self._state = StateFolder(job.state, self._fingerprint(job, made_of))
        if self.accelerator.is_main_process:
            self._state.clean()
        self.accelerator.wait_for_everyone()
        last = self._state.last()
        if last is not None and (lacking := self._lacking(last)):
            self._log(f"{last.name} is not taken up, it lacks {lacking}: training begins anew")
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                shutil.rmtree(last)
            self.accelerator.wait_for_everyone()
        elif last is not None:  # what it has not is frozen; DeepSpeed saves all there is
            partly = {} if is_sharded(self.accelerator) else {"strict": False}
            self.accelerator.load_state(str(last), **partly)
            told = json.loads((last / _PROGRESS).read_text())
            self._losses, self.memory.micro_batch = told["losses"], told["micro_batch"]
            self._schedule.load_state_dict(told["schedule"])
        self._done = len(self._losses)

    def _lacking(self, state: Path) -> str | None:
        """A weight that is learned and not in a saved state; None if there is none.

        Of weights that are one, a state has one by any of their names.
        """
        if is_sharded(self.accelerator):
            return None
        with safe_open(state / "model.safetensors", "pt") as file:
            there = set(file.keys())
        names: dict[int, list[str]] = {}
        for name, weight in self.model.named_parameters(remove_duplicate=False):
            if weight.requires_grad:
                names.setdefault(id(weight), []).append(name)
        return next((each[0] for each in names.values() if there.isdisjoint(each)), None)

    def _fingerprint(self, job: TrainingJob, made_of: Sequence[str]) -> str:
        """Digest of all that decides the weights: a state is taken up only if it is the same."""
        sharded = self.accelerator.state.deepspeed_plugin
        stage = sharded.zero_stage if sharded else None  # decides how a state is laid out
        computed = [self.accelerator.num_processes, stage, self.accelerator.mixed_precision]
        parts = [_FORM, *made_of, dict(job.hyperparameters), *computed, *map(version, _VERSIONS)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def finish(self, lesson: Lesson, stepped: Stepped) -> None:
        """Do the steps that are left, and save the last state; tells each step's loss.

        Raises:
            FloatingPointError: a loss or a gradient is no number; names the batch.
            OutOfMemoryError: memory runs out even with one text at a time.
        """
        self._log(
            f"training on {self.accelerator.device} in {self._precision()}: "
            f"steps {self._done + 1} to {self.total}"
        )
        losses, self._since = self._losses, time.monotonic()
        for step, loss in enumerate(losses, start=1):
            stepped(step, loss)
        while len(losses) < self.total:
            self.step(lesson)
            stepped(len(losses), losses[-1])
        self.save()

    def step(self, lesson: Lesson) -> None:
        """Do the next step; now and then log progress and save the state."""
        step = len(self._losses)
        learned = lesson.learn(step)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), _NORM)
        if not math.isfinite(learned.loss):
            raise _no_number("loss", step, lesson)
        if norm is not None and not bool(torch.isfinite(torch.as_tensor(norm))):
            raise _no_number("gradients", step, lesson)
        self._optimizer.step()
        self._schedule.step()
        self._losses.append(learned.loss)
        self._texts += learned.texts
        self._report(step + 1)
        if (step + 1) % self._settings.save_steps == 0:
            self.save()

    def _report(self, step: int) -> None:
        """Log about twenty times a training."""
        if step % max(1, self.total // 20) and step != self.total:
            return
        speed = self._texts / (time.monotonic() - self._since)
        loss = self._losses[-1]
        self._log(f"step {step}/{self.total} loss {loss:.4f} {speed:.1f} texts/s")
        self._since, self._texts = time.monotonic(), 0

    def _precision(self) -> str:
        """What is computed in, by its name in a recipe."""
        mixed: str = self.accelerator.mixed_precision
        return "float32" if mixed == "no" else mixed

    def save(self) -> None:
        """Save model, optimizer, schedule, losses and random states; complete or not at all."""
        step = len(self._losses)
        partial = self._state.partial(step)
        if self._state.last() == partial.with_suffix(""):
            return
        self.accelerator.save_state(str(partial))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            told: dict[str, Any] = {"losses": self._losses, "micro_batch": self.memory.micro_batch}
            told["schedule"] = self._schedule.state_dict()
            (partial / _PROGRESS).write_text(json.dumps(told))
            self._state.publish(step)
        self.accelerator.wait_for_everyone()

    def result(self, started: float, metrics: Mapping[str, float] | None = None) -> TrainingResult:
        """What there is to report at the end of a training that began at a monotonic time."""
        return TrainingResult(
            steps=self.total - self._done,
            world_size=self.accelerator.num_processes,
            device=str(self.accelerator.device),
            precision=self._precision(),
            losses=tuple(enumerate(self._losses, start=1)),
            seconds=time.monotonic() - started,
            metrics=metrics or {},
        )


def _no_number(what: str, step: int, lesson: Lesson) -> FloatingPointError:
    """Ends the training before the weights are spoilt; the last state is from before."""
    return FloatingPointError(
        f"step {step + 1}: the {what} of its batch, {lesson.named(step)}, came out as no number: "
        "lower learning_rate, or set precision to float32"
    )


def _leave_out_frozen(
    models: list[torch.nn.Module], states: list[dict[str, torch.Tensor]], _: str
) -> None:
    """Of a model with low-rank updates, a state holds these alone: the rest is the base's."""
    for model, state in zip(models, states, strict=False):  # DeepSpeed saves by itself: no states
        for name, weight in model.named_parameters(remove_duplicate=False):
            if not weight.requires_grad:
                state.pop(name, None)
