"""The training loop of a decoder, and its loss on held-out text before and after.

Here: what is done in which order. A training that is killed begins anew: it is short.
Not here: the base model (decoder.py), the process (resources/training/worker.py).
"""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from transformers import get_linear_schedule_with_warmup

from resources.training import TrainingJob, TrainingResult
from resources.training.causal import CausalHyperparameters
from resources.training.causal.blocks import Blocks, check_shares, pack, read_texts, spread
from resources.training.causal.decoder import load_base, write_adapter
from resources.training.folders import complete_or_not
from resources.training.low_rank import with_updates
from resources.training.pairs import plan
from resources.training.progress import Stepped, unwatched

BEFORE, AFTER = "held_out_loss_before", "held_out_loss_after"
_NORM = 1.0
"""Gradients are clipped to this L2 norm."""
_AT_ONCE = 8
"""Held-out blocks in one forward pass."""


def train(
    job: TrainingJob,
    world_size: int,
    log: Callable[[str], None],
    stepped: Stepped = unwatched,
) -> TrainingResult:
    """Train low-rank updates of a decoder and write them as an adapter.

    Losses are means over tokens, in nats.

    Raises:
        RuntimeError: the launcher started another number of processes than `world_size`.
        ValueError: the texts are too short for one block, there is less than one block a process,
            or a hyperparameter is wrong.
        FloatingPointError: a loss is no number.
    """
    started = time.monotonic()
    settings = CausalHyperparameters.model_validate(dict(job.hyperparameters))
    set_seed(settings.seed)
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    if accelerator.num_processes != world_size:
        raise RuntimeError(f"{world_size} processes asked for, {accelerator.num_processes} run")
    base, tokenizer = load_base(job.base_model)
    learned, held_out = _blocks(job, tokenizer, settings)
    check_shares(len(learned), settings.batch_size, world_size)
    base.config.use_cache = False
    model = with_updates(base, settings.lora, "CAUSAL_LM")
    optimizer = torch.optim.AdamW(
        [weight for weight in model.parameters() if weight.requires_grad],
        lr=settings.learning_rate,
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    before = held_out_loss(accelerator.unwrap_model(model), held_out)
    log(f"{len(learned)} blocks on {accelerator.device}, held-out loss {before:.4f}")
    losses = _steps(accelerator, model, optimizer, learned, settings, log, stepped)
    after = held_out_loss(accelerator.unwrap_model(model), held_out)
    log(f"held-out loss {before:.4f} before, {after:.4f} after")
    if accelerator.is_main_process:
        with complete_or_not(job.output) as folder:
            write_adapter(accelerator.unwrap_model(model), folder, settings.base)
    accelerator.wait_for_everyone()
    return TrainingResult(
        steps=len(losses),
        world_size=accelerator.num_processes,
        device=str(accelerator.device),
        losses=tuple(enumerate(losses, start=1)),
        seconds=time.monotonic() - started,
        metrics={
            BEFORE: before,
            AFTER: after,
            "training_tokens": float(learned.size),
            "held_out_tokens": float(held_out.size),
        },
    )


def _blocks(
    job: TrainingJob, tokenizer: Any, settings: CausalHyperparameters
) -> tuple[Blocks, Blocks]:
    def tokenize(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    found = [
        pack(
            read_texts(job.pairs, held_out=held), tokenize, tokenizer.eos_token_id, settings.tokens
        )
        for held in (False, True)
    ]
    for blocks, what in zip(found, ("to train on", "held out"), strict=True):
        if not len(blocks):
            raise ValueError(
                f"the text {what} is shorter than one block of {settings.tokens} tokens: "
                "add documents, or lower `tokens` in the recipe"
            )
    return found[0], spread(found[1], settings.held_out_blocks)


def held_out_loss(model: torch.nn.Module, blocks: Blocks) -> float:
    """Mean loss a token, in nats, without dropout."""
    model.eval()
    device = next(model.parameters()).device
    total = 0.0
    with torch.no_grad():
        for first in range(0, len(blocks), _AT_ONCE):
            ids = torch.from_numpy(blocks[first : first + _AT_ONCE]).to(device)
            total += float(model(input_ids=ids, labels=ids).loss) * len(ids)
    model.train()
    return total / len(blocks)


def _steps(
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: Any,
    learned: Blocks,
    settings: CausalHyperparameters,
    log: Callable[[str], None],
    stepped: Stepped,
) -> list[float]:
    rows = plan(len(learned), settings.batch_size, settings.steps, settings.seed)
    rank, world = accelerator.process_index, accelerator.num_processes
    warmup = round(settings.warmup_ratio * settings.steps)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, settings.steps)
    losses: list[float] = []
    for number, row in enumerate(rows, start=1):
        ids = torch.from_numpy(learned[row[rank::world]]).to(accelerator.device)
        loss = model(input_ids=ids, labels=ids).loss
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), _NORM)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(accelerator.reduce(loss.detach(), "mean")))
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(
                f"step {number}, blocks {row.tolist()}: no number as loss: lower learning_rate"
            )
        stepped(number, losses[-1])
        if number % max(1, settings.steps // 20) == 0 or number == settings.steps:
            log(f"step {number}/{settings.steps} loss {losses[-1]:.4f}")
    return losses
