"""The training of a decoder, from a job to its adapter, and its loss on held-out text.

Here: what is put together. Not here: steps and saved states (resources/training/stepping), a step's
gradients (gradients.py), the base model (decoder.py), the process (resources/training/worker.py).
"""

import hashlib
import time
from collections.abc import Callable
from typing import Any

import torch
from accelerate.utils import set_seed

from resources.training import TrainingJob, TrainingResult
from resources.training.causal import CausalHyperparameters
from resources.training.causal.blocks import Blocks, check_shares, pack, read_texts, spread
from resources.training.causal.decoder import digest_of_base, load_base, write_adapter
from resources.training.causal.gradients import BlockLesson
from resources.training.folders import complete_or_not
from resources.training.low_rank import with_updates
from resources.training.progress import Stepped, unwatched
from resources.training.stepping.processes import accelerator_for
from resources.training.stepping.run import Run

BEFORE, AFTER = "held_out_loss_before", "held_out_loss_after"
_AT_ONCE = 8
"""Held-out blocks in one forward pass."""


def train(
    job: TrainingJob,
    world_size: int,
    log: Callable[[str], None],
    stepped: Stepped = unwatched,
) -> TrainingResult:
    """Train low-rank updates of a decoder, from the last saved state if there is one.

    They are written as an adapter. Losses are means over tokens, in nats. The result does not
    depend on the number of processes, but for rounding and dropout.

    Raises:
        RuntimeError: the launcher started another number of processes than `world_size`.
        ValueError: the texts are too short for one block, there is less than one block a process,
            or a hyperparameter is wrong.
        FloatingPointError: a loss or a gradient is no number.
        OutOfMemoryError: memory runs out even with one block at a time.
    """
    started = time.monotonic()
    settings = CausalHyperparameters.model_validate(dict(job.hyperparameters))
    accelerator = accelerator_for(world_size, settings.precision)
    set_seed(settings.seed)
    base, tokenizer = load_base(job.base_model)
    learned, held_out = _blocks(job, tokenizer, settings)
    check_shares(len(learned), settings.batch_size, world_size)
    base.config.use_cache = False
    model = with_updates(base, settings.lora, "CAUSAL_LM")
    run = Run(accelerator, model, settings, settings.steps, log)
    before = held_out_loss(accelerator.unwrap_model(run.model), held_out)
    log(f"{len(learned)} blocks, held-out loss {before:.4f}")
    made_of = [digest_of_base(job.base_model), hashlib.sha256(learned.tobytes()).hexdigest()]
    run.resume(job, made_of)
    run.finish(BlockLesson(run, learned, settings, job.pairs), stepped)
    after = held_out_loss(accelerator.unwrap_model(run.model), held_out)
    log(f"held-out loss {before:.4f} before, {after:.4f} after")
    if accelerator.is_main_process:
        with complete_or_not(job.output) as folder:
            write_adapter(accelerator.unwrap_model(run.model), folder, settings.base)
    accelerator.wait_for_everyone()
    metrics = {
        BEFORE: before,
        AFTER: after,
        "training_tokens": float(learned.size),
        "held_out_tokens": float(held_out.size),
    }
    return run.result(started, metrics)


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
