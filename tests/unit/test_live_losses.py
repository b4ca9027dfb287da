"""Losses that are entered while a training goes on, by a tracking that fails or hangs."""

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

import pytest

from platform_assets import live_losses
from platform_assets.live_losses import LiveLosses
from resources.tracking import Loss
from resources.training import progress
from resources.training.progress import LossFeed, losses_in


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_losses, "SECONDS", 0.01)


def tracking(calls: list[Sequence[Loss]], fail: int, up: Event) -> Callable[..., None]:
    """Takes losses, but for the first calls, which fail."""

    def enter(losses: Sequence[Loss]) -> None:
        calls.append(losses)
        if len(calls) <= fail:
            raise ValueError("no answer")
        up.set()

    return enter


def test_losses_wait_for_a_tracking_that_is_down_for_a_moment() -> None:
    calls: list[Sequence[Loss]] = []
    warned: list[str] = []
    up = Event()
    live = LiveLosses(tracking(calls, 2, up), warned.append)
    live.heard([(1, 0.5), (2, 0.25)])
    assert up.wait(60)
    live.heard([(3, 0.125)])
    live.end()
    assert calls[0] == calls[1] == calls[2]
    entered = [(loss.step, loss.value) for losses in calls[2:] for loss in losses]
    assert entered == [(1, 0.5), (2, 0.25), (3, 0.125)]
    assert warned == ["no answer; the training goes on, its losses are entered later"]


def test_no_training_waits_for_a_tracking_that_hangs() -> None:
    hung, released = Event(), Event()

    def enter(_: Sequence[Loss]) -> None:
        hung.set()
        released.wait(60)

    live = LiveLosses(enter, pytest.fail)
    live.heard([(1, 0.5)])
    assert hung.wait(60)
    live.heard([(2, 0.25)])
    live.end(patience=0.1)
    assert not released.is_set()
    released.set()


def test_a_worker_sends_losses_together_and_the_last_ones_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Any] = []
    feed = LossFeed(sent.append)
    monkeypatch.setattr(progress, "_SECONDS", 3600)
    feed.add(1, 0.5)
    assert sent == []
    monkeypatch.setattr(progress, "_SECONDS", 0)
    feed.add(2, 0.25)
    feed.flush()
    assert [losses_in(message) for message in sent] == [[(1, 0.5), (2, 0.25)]]
    assert losses_in({"losses": []}) is losses_in(None) is None
