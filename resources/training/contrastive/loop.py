"""The training of an encoder, from a job to its checkpoint.

Here: what is put together. Not here: steps and saved states (resources/training/stepping), a step's
gradients (gradients.py), the process (resources/training/worker.py).
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from accelerate.utils import set_seed
from safetensors.torch import save_file

from resources.digests import sha256_file
from resources.training import TrainingJob, TrainingResult
from resources.training.contrastive.encoder import TextEncoder, plain_weights
from resources.training.contrastive.gradients import PairLesson
from resources.training.folders import transformer_folder, write_checkpoint
from resources.training.hyperparameters import Hyperparameters
from resources.training.pairs import Pairs
from resources.training.progress import Stepped, unwatched
from resources.training.stepping.processes import accelerator_for, is_sharded
from resources.training.stepping.run import Run


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
        OutOfMemoryError: memory runs out even with one text at a time.
    """
    started = time.monotonic()
    settings = Hyperparameters.model_validate(dict(job.hyperparameters))
    accelerator = accelerator_for(world_size, settings.precision)
    set_seed(settings.seed)
    pairs = Pairs.read(job.pairs)
    log(f"{len(pairs)} pairs")
    encoder = TextEncoder(job.base_model, settings.dropout, settings.lora).train()
    run = Run(accelerator, encoder, settings, settings.total(len(pairs)), log)
    lesson = PairLesson(run, pairs, settings, job.base_model, job.pairs)
    base = sha256_file(transformer_folder(job.base_model) / "model.safetensors")
    run.resume(job, [base, pairs.digest()])
    run.finish(lesson, stepped)
    _write(run, job)
    return run.result(started)


def _write(run: Run, job: TrainingJob) -> None:
    """Write the finished checkpoint."""
    accelerator = run.accelerator
    with _whole(run):
        weights = plain_weights(accelerator.unwrap_model(run.model))

        def save(path: Path) -> None:
            save_file(weights, path, metadata={"format": "pt"})

        if accelerator.is_main_process:
            write_checkpoint(job.base_model, job.output, save)
    accelerator.wait_for_everyone()


def _whole(run: Run) -> AbstractContextManager[object]:
    """Within, each process has all weights, also where ZeRO gave it a share of them."""
    if not is_sharded(run.accelerator):
        return nullcontext()
    import deepspeed

    whole: AbstractContextManager[object] = deepspeed.zero.GatheredParameters(
        list(run.model.parameters())
    )
    return whole
