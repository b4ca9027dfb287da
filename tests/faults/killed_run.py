"""A run that ends by `kill -9`: `python -m tests.faults.killed_run STOP FILE`.

Here: where runs are killed, and the small waves and the short training that give each asset a
middle. Not here: what must hold afterwards (test_kill.py).
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import reduce
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from platform_assets.checkpoints import recipes
from platform_assets.documents import refresh as documents
from platform_assets.embeddings import refresh as embeddings
from platform_assets.vector_indexes import refresh as vector_index
from resources.training import launch
from tests.spies import Calls, Platform

CORPUS = "harbour"
WAVE = 3
"""Chunks and points in a wave."""
SMALL: tuple[tuple[Any, str, object], ...] = (
    (documents, "WAVE_BYTES", 2_000),
    (embeddings, "WAVE_CHUNKS", WAVE),
    (vector_index, "WAVE_POINTS", WAVE),
    (recipes, "RECIPES", Path(__file__).with_name("recipes.toml")),
)
"""Settings (module, name, value) that every run of these tests has."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A run is killed just before the `nth` call of `function` while `asset` materialises."""

    asset: str
    function: str
    """`module:qualified.name`"""
    nth: int
    encoder: str = "minilm"


STOPS = {
    "while parsing": Stop("documents", "resources.parsing.wire:decode", 9),
    "between documents and rejected": Stop(
        "documents", "platform_assets.tables:OwnRows.replace", 4
    ),
    "while encoding": Stop("embeddings", "platform_assets.embeddings.encoding:encode_missing", 3),
    "in a commit": Stop("embeddings", "pyiceberg.catalog.sql:SqlCatalog.commit_table", 2),
    "while upserting": Stop(
        "vector_index", "resources.vector_store.qdrant_edge_build:EdgeBuilder.upsert", 3
    ),
    "while finishing": Stop(
        "vector_index", "resources.vector_store.qdrant_edge_build:Workspace.move_to", 1
    ),
    "while training": Stop(
        "checkpoints", "resources.training.stepping.run:Run.step", 4, encoder="minilm-tuned"
    ),
}


def arm(stop: Stop, last_words: Callable[[], None]) -> None:
    """Have this process say its last words and die when it comes to the stop."""
    module, _, path = stop.function.partition(":")
    *outer, name = path.split(".")
    owner = reduce(getattr, outer, import_module(module))
    function, calls = getattr(owner, name), count(1)

    def fatal(*args: Any, **options: Any) -> Any:
        if next(calls) == stop.nth:
            last_words()
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **options)

    setattr(owner, name, fatal)


def main() -> None:
    """Run to the stop named first; the calls up to then are left in the file named second."""
    stop = STOPS[sys.argv[1]]
    for module, name, value in SMALL:
        setattr(module, name, value)
    platform = Platform(Path(os.environ["LAKELOOM_HOME"]), pytest.MonkeyPatch())
    if stop.asset == "checkpoints":
        launch.WORKER = "tests.faults.killed_worker"
    else:
        arm(stop, lambda: _keep(platform.calls, Path(sys.argv[2])))
    answer = platform.answer(CORPUS, encoders=[stop.encoder], select=stop.asset)
    sys.exit(f"it was not killed: {answer}")


def _keep(calls: Calls, path: Path) -> None:
    path.write_text(json.dumps(asdict(calls)))


if __name__ == "__main__":
    main()
