"""A training's note in the lake, with a tracking that cannot be reached."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_assets.logbook import Logbook
from resources.object_store.folder import FolderObjectStore
from resources.tracking import Dataset, Outcome, Training
from resources.tracking.mlflow import MlflowTracking
from tests.checkpoints import write_checkpoint

TRAINING = Training("encoder", "tuned", {"steps": 6}, (Dataset("training_pairs/a", "d", "1", 2),))
OUTCOME = Outcome(((1, 0.5),), {"seconds": 1.0}, {"digest": "e"})


class Kept:
    """A logbook, and what it warned of."""

    def __init__(self, tracking: MlflowTracking, lake: Path) -> None:
        self.warned: list[str] = []
        store = FolderObjectStore(f"file://{lake}")
        self.book = Logbook(tracking, store, self.warned.append, "checkpoints", "tuned")

    def train(self) -> None:
        with self.book.run() as run:
            run.begin(TRAINING)
            run.note("c" * 64, OUTCOME)


@pytest.fixture
def down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as free:  # bound and not listening: connections are refused
        free.bind(("127.0.0.1", 0))
        yield Kept(MlflowTracking(f"http://127.0.0.1:{free.getsockname()[1]}"), tmp_path)


def test_a_note_waits_until_it_is_entered(down: Kept, tmp_path: Path) -> None:
    down.train()
    down.book.settle(lambda _: write_checkpoint(tmp_path / "model"))
    [note] = down.book.waiting()
    assert (note.training, note.outcome, note.run) == (TRAINING, OUTCOME, "")
    assert [line.split(" failed")[0][:28] for line in down.warned] == [
        "tracking at LAKELOOM_TRACKIN"
    ] * 2
    assert down.book.links(note.checkpoint) == {}
    up = Kept(MlflowTracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "models")), tmp_path)
    up.book.settle(lambda _: tmp_path / "model")
    assert (up.book.waiting(), up.warned) == ([], [])
    assert up.book.links(note.checkpoint)["mlflow"].value.startswith("mlflow ui ")  # type: ignore[union-attr]


def test_a_note_of_a_checkpoint_that_was_removed_holds_nothing_up(down: Kept) -> None:
    def removed(digest: str) -> Path:
        raise LookupError(f"the lake holds no checkpoint {digest}")

    down.train()
    down.book.settle(removed)
    assert down.book.waiting() == []


def test_a_failure_is_raised_though_it_cannot_be_told(down: Kept) -> None:
    def fail() -> None:
        with down.book.run() as run:
            run.begin(TRAINING)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert down.book.waiting() == []
