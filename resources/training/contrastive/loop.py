"""The training loop: steps, progress, saved states, the finished checkpoint.

Here: what is done in which order, resumable at any moment.
Not here: a step's gradients (gradients.py), the process (resources/training/worker.py).
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, InitProcessGroupKwargs, set_seed
from safetensors.torch import save_file
from transformers import get_scheduler

from resources.digests import sha256_file
from resources.training import TrainingJob, TrainingResult
from resources.training.contrastive.batches import Batches, Prepared, TokenIds
from resources.training.contrastive.encoder import TextEncoder, plain_weights
from resources.training.contrastive.gradients import Gradients
from resources.training.folders import StateFolder, transformer_folder, write_checkpoint
from resources.training.hyperparameters import Hyperparameters
from resources.training.pairs import Pairs, plan
from resources.training.progress import Stepped, unwatched

_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
"""Names of ours -> those of transformers."""
_NORM = 1.0
"""Gradients are clipped to this L2 norm."""


def train(
    job: TrainingJob,
    world_size: int,
    log: Callable[[str], None],
    stepped: Stepped = unwatched,
) -> TrainingResult:
    """Train to the end, from the last saved state if there is one, and write the checkpoint.

    The result does not depend on the number of processes, but for rounding and dropout: each
    encodes a share of every batch, and all of the batch's passages are negatives.

    Raises:
        RuntimeError: the launcher started another number of processes than `world_size`.
        ValueError: the base model, the pairs or a hyperparameter cannot be trained with.
        FloatingPointError: a loss or a gradient is no number.
    """
    started = time.monotonic()
    settings = Hyperparameters.model_validate(dict(job.hyperparameters))
    accelerator = _accelerator(world_size, settings)
    run = _Run(accelerator, job, settings, log)
    done = run.resume()
    for step, loss in enumerate(run.progress.losses, start=1):
        stepped(step, loss)
    while len(run.progress.losses) < run.total:
        run.step()
        stepped(len(run.progress.losses), run.progress.losses[-1])
    run.save()
    run.write(job)
    return TrainingResult(
        steps=run.total - done,
        world_size=accelerator.num_processes,
        device=str(accelerator.device),
        losses=tuple(enumerate(run.progress.losses, start=1)),
        seconds=time.monotonic() - started,
    )


class Progress:
    """What a saved state tells beside weights, optimizer, schedule and random numbers."""

    def __init__(self, gradients: Gradients) -> None:
        self._gradients = gradients
        self.losses: list[float] = []
        """Of every step so far."""

    def state_dict(self) -> dict[str, Any]:
        """What accelerate saves."""
        return {"losses": self.losses, "micro_batch": self._gradients.micro_batch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what accelerate saved."""
        self.losses = list(state["losses"])
        self._gradients.micro_batch = state["micro_batch"]


class _Run:
    """A training under way: its parts, and the things done with them."""

    def __init__(
        self,
        accelerator: Accelerator,
        job: TrainingJob,
        settings: Hyperparameters,
        log: Callable[[str], None],
    ) -> None:
        set_seed(settings.seed)
        self._pairs, self._file = Pairs.read(job.pairs), job.pairs
        self.total = settings.total(len(self._pairs))
        rows = plan(len(self._pairs), settings.batch_size, self.total, settings.seed)
        processes = accelerator.num_processes
        if rows.shape[1] < processes:
            raise ValueError(
                f"a batch of {rows.shape[1]} pairs is too small for {processes} processes"
            )
        tokens = TokenIds(job.base_model, settings.max_tokens)
        self._batches = Batches(self._pairs, rows, tokens, accelerator.process_index, processes)
        encoder = TextEncoder(job.base_model, settings.dropout, settings.lora).train()
        self._prepare(accelerator, encoder, settings)
        self._gradients = Gradients(accelerator, self._encoder, settings, log)
        self.progress = Progress(self._gradients)
        accelerator.register_for_checkpointing(self._schedule, self.progress)
        self._accelerator, self._settings, self._log = accelerator, settings, log
        self._state = StateFolder(job.state, self._fingerprint(job, processes))
        self._since, self._texts = time.monotonic(), 0

    def _prepare(
        self, accelerator: Accelerator, encoder: TextEncoder, settings: Hyperparameters
    ) -> None:
        """Put everything on the device; `Gradients` does what DDP would."""
        trained = [weight for weight in encoder.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(
            trained,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=accelerator.distributed_type != DistributedType.DEEPSPEED,
        )
        self._schedule = get_scheduler(
            _SCHEDULES[settings.schedule],
            optimizer,
            round(settings.warmup_ratio * self.total),
            self.total,
        )
        self._encoder: torch.nn.Module
        if accelerator.distributed_type == DistributedType.DEEPSPEED:
            self._encoder, self._optimizer = accelerator.prepare(encoder, optimizer)
        else:
            self._encoder = accelerator.prepare_model(encoder, evaluation_mode=True)
            self._optimizer = accelerator.prepare_optimizer(optimizer)

    def _fingerprint(self, job: TrainingJob, world_size: int) -> str:
        """Digest of all that decides the weights: a state is taken up only if it is the same."""
        base = sha256_file(transformer_folder(job.base_model) / "model.safetensors")
        sharded = self._accelerator.state.deepspeed_plugin
        stage = sharded.zero_stage if sharded else None  # decides how a state is laid out
        parts = [base, self._pairs.digest(), dict(job.hyperparameters), world_size, stage]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def resume(self) -> int:
        """Load the last saved state; returns the steps it had done."""
        if self._accelerator.is_main_process:
            self._state.clean()
        self._accelerator.wait_for_everyone()
        last = self._state.last()
        if last is not None:
            self._accelerator.load_state(str(last))
        done = len(self.progress.losses)
        self._log(
            f"training on {self._accelerator.device} in {self._accelerator.mixed_precision}: "
            f"{len(self._pairs)} pairs, steps {done + 1} to {self.total}"
        )
        return done

    def step(self) -> None:
        """Do the next step; now and then log progress and save the state."""
        batch = self._batches.of(len(self.progress.losses))
        loss = self._gradients.of(batch)
        norm = self._accelerator.clip_grad_norm_(self._encoder.parameters(), _NORM)
        self._refuse_no_number(batch, loss, norm)
        self._optimizer.step()
        self._schedule.step()
        self.progress.losses.append(loss)
        self._texts += len(batch.batch.queries) + len(batch.batch.candidates)
        self._report(batch.number + 1)
        if (batch.number + 1) % self._settings.save_steps == 0:
            self.save()

    def _refuse_no_number(self, batch: Prepared, loss: float, norm: torch.Tensor | None) -> None:
        """End the training before the weights are spoilt; the last state is from before."""
        what = "loss" if not math.isfinite(loss) else "gradients"
        if math.isfinite(loss) and (norm is None or bool(torch.isfinite(torch.as_tensor(norm)))):
            return
        lines = ", ".join(map(str, self._pairs.lines(batch.rows)))
        raise FloatingPointError(
            f"step {batch.number + 1}: the {what} of its batch, rows {lines} of {self._file}, came "
            "out as no number: lower learning_rate, or set precision to float32"
        )

    def _report(self, step: int) -> None:
        """Log about twenty times a training."""
        if step % max(1, self.total // 20) and step != self.total:
            return
        speed = self._texts / (time.monotonic() - self._since)
        loss = self.progress.losses[-1]
        self._log(f"step {step}/{self.total} loss {loss:.4f} {speed:.1f} texts/s")
        self._since, self._texts = time.monotonic(), 0

    def save(self) -> None:
        """Save model, optimizer, schedule, losses and random states; complete or not at all."""
        step = len(self.progress.losses)
        partial = self._state.partial(step)
        if self._state.last() == partial.with_suffix(""):
            return
        self._accelerator.save_state(str(partial))
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_main_process:
            self._state.publish(step)
        self._accelerator.wait_for_everyone()

    def write(self, job: TrainingJob) -> None:
        """Write the finished checkpoint."""
        with self._whole():
            weights = plain_weights(self._accelerator.unwrap_model(self._encoder))

            def save(path: Path) -> None:
                save_file(weights, path, metadata={"format": "pt"})

            if self._accelerator.is_main_process:
                write_checkpoint(job.base_model, job.output, save)
        self._accelerator.wait_for_everyone()

    def _whole(self) -> AbstractContextManager[object]:
        """Within, each process has all weights, also where ZeRO gave it a share of them."""
        if self._accelerator.distributed_type != DistributedType.DEEPSPEED:
            return nullcontext()
        import deepspeed

        weights = list(self._encoder.parameters())
        whole: AbstractContextManager[object] = deepspeed.zero.GatheredParameters(weights)
        return whole


def _accelerator(world_size: int, settings: Hyperparameters) -> Accelerator:
    """Accelerate on the hardware at hand, in bf16 where the chip computes in it."""
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported()
    else:
        chip = torch.cpu.get_capabilities()
        fast = bool(chip.get("avx512_bf16") or chip.get("amx_bf16"))
    half = fast if settings.precision == "auto" else settings.precision == "bf16"
    cuda = torch.cuda.is_available()
    sharded = os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true"
    accelerator = Accelerator(
        cpu=world_size > 1 and not cuda and not sharded,
        mixed_precision="bf16" if half else "no",
        kwargs_handlers=[InitProcessGroupKwargs(backend="gloo")] if sharded and not cuda else None,
    )
    if sharded:  # DeepSpeed's own bf16 would round the weights; this rounds as the others do
        accelerator.state.deepspeed_plugin.deepspeed_config.update(
            bf16={"enabled": False}, torch_autocast={"enabled": half, "dtype": "bfloat16"}
        )
    if accelerator.num_processes != world_size:
        raise RuntimeError(
            f"{world_size} training processes were asked for, {accelerator.num_processes} run"
        )
    return accelerator
