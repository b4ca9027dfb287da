"""The training code that every engine runs: `python -m resources.training.worker` under Pipes.

Here: contrastive training of a text encoder with torch and accelerate, resumable at any moment.
Not here: how processes are started (one file for each engine), Dagster, recipes, promotion.
"""

import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from dagster_pipes import PipesDefaultContextLoader, PipesMappingParamsLoader, open_dagster_pipes
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, TypeAdapter, model_validator
from safetensors.torch import save_file
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, get_linear_schedule_with_warmup

from resources.digests import sha256_file
from resources.training import TrainingJob, TrainingResult
from resources.training.folders import (
    StateFolder,
    pooling,
    transformer_folder,
    write_checkpoint,
)
from resources.training.pairs import Batch, Pairs, plan

_MICRO_BATCH = 32
"""Texts encoded together: sorted by length, so little is spent on padding."""


class Hyperparameters(BaseModel):
    """What `TrainingJob.hyperparameters` may hold; pydantic names a wrong or unknown one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: PositiveInt | None = None
    epochs: PositiveFloat | None = None
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    warmup_ratio: float
    scale: PositiveFloat
    max_tokens: PositiveInt
    seed: int
    save_steps: PositiveInt

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.steps is None and self.epochs is None:
            raise ValueError("one of steps and epochs must be given")
        return self

    def total(self, pairs: int) -> int:
        """Optimizer steps of the whole training; with both limits, the smaller."""
        size = min(self.batch_size, pairs)
        by_epochs = math.inf if self.epochs is None else math.ceil(self.epochs * pairs / size)
        return int(min(by_epochs, self.steps or math.inf))


class TextEncoder(torch.nn.Module):
    """Transformer, pooling, L2 norm. One forward call encodes all texts of a step (DDP)."""

    def __init__(self, model: Path, max_tokens: int) -> None:
        super().__init__()
        folder = transformer_folder(model)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._max_tokens = max_tokens
        self._pooling = pooling(model)
        self.backbone = AutoModel.from_pretrained(folder, dtype=torch.float32)
        if getattr(self.backbone, "pooler", None) is not None:
            self.backbone.pooler.requires_grad_(False)  # takes no part in the embedding

    def forward(self, texts: list[str]) -> torch.Tensor:
        """Embeddings of shape (len(texts), dimensions), rows of L2 norm 1, in the order given."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts = [
            self._encode([texts[i] for i in order[start : start + _MICRO_BATCH]])
            for start in range(0, len(order), _MICRO_BATCH)
        ]
        return torch.cat(parts)[torch.tensor(order).argsort()]

    def _encode(self, texts: list[str]) -> torch.Tensor:
        features = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt"
        ).to(self.backbone.device)
        hidden = self.backbone(**features).last_hidden_state.float()
        if self._pooling == "cls":
            return functional.normalize(hidden[:, 0], dim=-1)
        mask = features["attention_mask"].unsqueeze(-1).float()
        return functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)


class Losses:
    """Loss of every step so far; part of the saved state."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def state_dict(self) -> dict[str, Any]:
        """What accelerate saves."""
        return {"values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what accelerate saved."""
        self.values = list(state["values"])


def ranking_loss(encoder: torch.nn.Module, batch: Batch, scale: float) -> torch.Tensor:
    """Multiple-negatives ranking loss: cross-entropy of the positive among all candidates.

    Scores are cosines times `scale`, the inverse of the temperature. Henderson et al. 2017,
    "Efficient Natural Language Response Suggestion for Smart Reply" (arXiv:1705.00652); the same
    as InfoNCE of van den Oord et al. 2018 (arXiv:1807.03748). Other right answers are masked.
    """
    vectors = encoder([*batch.queries, *batch.candidates])
    queries, candidates = vectors.split([len(batch.queries), len(batch.candidates)])
    masked = torch.from_numpy(batch.masked).to(vectors.device)
    scores = (queries @ candidates.T * scale).masked_fill(masked, -math.inf)
    return functional.cross_entropy(scores, torch.from_numpy(batch.labels).to(vectors.device))


def train(job: TrainingJob, world_size: int, log: Callable[[str], None]) -> TrainingResult:
    """Train to the end, from the last saved state if there is one, and write the checkpoint.

    Every process of a distributed training takes its share of each batch; negatives are shared
    within a process.

    Raises:
        RuntimeError: the launcher started another number of processes than `world_size`.
        ValueError: the base model, the pairs or a hyperparameter cannot be trained with.
    """
    started = time.monotonic()
    accelerator = _accelerator(world_size)
    run = _Run(accelerator, job, log)
    done = run.resume()
    while len(run.losses.values) < run.total:
        run.step()
    run.save()
    if accelerator.is_main_process:
        write_checkpoint(job.base_model, job.output, run.save_weights)
    accelerator.wait_for_everyone()
    return TrainingResult(
        steps=run.total - done,
        world_size=accelerator.num_processes,
        device=str(accelerator.device),
        losses=tuple(enumerate(run.losses.values, start=1)),
        seconds=time.monotonic() - started,
    )


class _Run:
    """A training under way: its parts, and the three things done with them."""

    def __init__(
        self, accelerator: Accelerator, job: TrainingJob, log: Callable[[str], None]
    ) -> None:
        settings = Hyperparameters.model_validate(dict(job.hyperparameters))
        set_seed(settings.seed)
        self._pairs = Pairs.read(job.pairs)
        self.total = settings.total(len(self._pairs))
        self._plan = plan(len(self._pairs), settings.batch_size, self.total, settings.seed)
        if self._plan.shape[1] < accelerator.num_processes:
            raise ValueError(
                f"a batch of {self._plan.shape[1]} pairs is too small for "
                f"{accelerator.num_processes} processes"
            )
        encoder = TextEncoder(job.base_model, settings.max_tokens).train()
        trained = [weight for weight in encoder.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate)
        self._schedule = get_linear_schedule_with_warmup(
            optimizer, round(settings.warmup_ratio * self.total), self.total
        )
        self._encoder, self._optimizer = accelerator.prepare(encoder, optimizer)
        self.losses = Losses()
        accelerator.register_for_checkpointing(self._schedule, self.losses)
        self._state = StateFolder(job.state, self._fingerprint(job, accelerator.num_processes))
        self._accelerator, self._settings, self._log = accelerator, settings, log
        self._since, self._texts = time.monotonic(), 0

    def _fingerprint(self, job: TrainingJob, world_size: int) -> str:
        """Digest of all that decides the weights: a state is taken up only if it is the same."""
        base = sha256_file(transformer_folder(job.base_model) / "model.safetensors")
        parts = [base, self._pairs.digest(), dict(job.hyperparameters), world_size]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def resume(self) -> int:
        """Load the last saved state; returns the steps it had done."""
        if self._accelerator.is_main_process:
            self._state.clean()
        self._accelerator.wait_for_everyone()
        last = self._state.last()
        if last is not None:
            self._accelerator.load_state(str(last))
        done = len(self.losses.values)
        self._log(
            f"training on {self._accelerator.device}: {len(self._pairs)} pairs, "
            f"steps {done + 1} to {self.total}"
        )
        return done

    def step(self) -> None:
        """Do the next step; now and then log progress and save the state."""
        number = len(self.losses.values)
        rank, world = self._accelerator.process_index, self._accelerator.num_processes
        batch = self._pairs.batch(self._plan[number][rank::world].tolist())
        loss = ranking_loss(self._encoder, batch, self._settings.scale)
        self._accelerator.backward(loss)
        self._accelerator.clip_grad_norm_(self._encoder.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad()
        self.losses.values.append(float(self._accelerator.reduce(loss.detach(), "mean")))
        self._texts += (len(batch.queries) + len(batch.candidates)) * world
        self._report(number + 1)
        if (number + 1) % self._settings.save_steps == 0:
            self.save()

    def _report(self, step: int) -> None:
        """Log about twenty times a training."""
        if step % max(1, self.total // 20) and step != self.total:
            return
        speed = self._texts / (time.monotonic() - self._since)
        self._log(f"step {step}/{self.total} loss {self.losses.values[-1]:.4f} {speed:.1f} texts/s")
        self._since, self._texts = time.monotonic(), 0

    def save(self) -> None:
        """Save model, optimizer, schedule, losses and random states; complete or not at all."""
        step = len(self.losses.values)
        partial = self._state.partial(step)
        if self._state.last() == partial.with_suffix(""):
            return
        self._accelerator.save_state(str(partial))
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_main_process:
            self._state.publish(step)
        self._accelerator.wait_for_everyone()

    def save_weights(self, path: Path) -> None:
        """Write the transformer's weights as safetensors."""
        backbone = self._accelerator.unwrap_model(self._encoder).backbone
        weights = {name: value.contiguous() for name, value in backbone.state_dict().items()}
        save_file(weights, path, metadata={"format": "pt"})


def _accelerator(world_size: int) -> Accelerator:
    """Accelerate on the hardware at hand, in bf16 where the chip computes in it."""
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported()
    else:
        chip = torch.cpu.get_capabilities()
        fast = bool(chip.get("avx512_bf16") or chip.get("amx_bf16"))
    on_cpu = world_size > 1 and not torch.cuda.is_available()
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="bf16" if fast else "no")
    if accelerator.num_processes != world_size:
        raise RuntimeError(
            f"{world_size} training processes were asked for, {accelerator.num_processes} run"
        )
    return accelerator


def _end_with_launcher() -> None:
    """End this process as soon as its launcher is gone, even by `kill -9`.

    Standard input is a pipe that the launcher holds open and never writes to.
    """

    def watch() -> None:
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Read the job from Pipes, train, and send the result back; only rank 0 speaks."""
    _end_with_launcher()
    if int(os.environ.get("RANK", "0")) > 0:
        params = PipesMappingParamsLoader(os.environ).load_context_params()
        with PipesDefaultContextLoader().load_context(params) as context:
            extras = context["extras"] or {}
            train(_job(extras["job"]), extras["world_size"], lambda _: None)
        return
    with open_dagster_pipes() as pipes:
        result = train(_job(pipes.get_extra("job")), pipes.get_extra("world_size"), pipes.log.info)
        pipes.report_custom_message(asdict(result))


def _job(message: Any) -> TrainingJob:
    return TypeAdapter(TrainingJob).validate_python(message)


if __name__ == "__main__":
    main()
