"""What the experiment tracking is told of a training.

Here: parameters, data and tags before it, figures after it. Not here: when it is told (logbook.py).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from platform_assets.checkpoints.recipes import Recipe
from platform_assets.provenance import Record, canonical
from resources.tracking import Dataset, Outcome, Training
from resources.training import TrainingResult


def begun(recipe: Recipe, pairs: Iterable[Record], code_version: str, run_id: str) -> Training:
    """An encoder's training as it begins, on the training pairs of some records."""
    assert recipe.training is not None
    return Training(
        kind="encoder",
        name=recipe.name,
        parameters={"base": recipe.base, **plain(recipe.what()["training"])},
        datasets=datasets(pairs),
        tags={"code_version": code_version, "dagster_run_id": run_id, "recipe": recipe.digest},
    )


def plain(settings: Mapping[str, Any]) -> dict[str, str | int | float]:
    """What a recipe says, as parameters of a run."""
    return {
        name: value if isinstance(value, str | int | float) else canonical(value)
        for name, value in settings.items()
    }


def datasets(records: Iterable[Record]) -> tuple[Dataset, ...]:
    """The tables' snapshots that some records pin, as data of a run."""
    return tuple(
        Dataset(record.name, record.digest, record.snapshot or "", record.rows)
        for record in records
    )


def ended(details: Mapping[str, str], result: TrainingResult) -> Outcome:
    """A training as it ended; `digest` is its files', under which its version is found."""
    return Outcome(
        losses=result.losses,
        metrics={
            "final_loss": result.losses[-1][1],
            "seconds": result.seconds,
            "steps": result.steps,
            "pairs": int(details["pair_count"]),
        },
        tags={
            "digest": details["checkpoint"],
            "checkpoint": details["checkpoint"],
            "pairs": details["pairs"],
            "device": result.device,
            "precision": result.precision,
            "world_size": str(result.world_size),
        },
    )
