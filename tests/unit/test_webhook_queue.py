"""The webhook's queue: nothing that was put is lost, whatever the order of what happens."""

import sqlite3
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.events import MOST_KEYS, Batch, by_corpus
from resources.events.webhook import WebhookQueue


@pytest.fixture
def queue(tmp_path: Path) -> WebhookQueue:
    return WebhookQueue(tmp_path / "home" / "events.db")


def test_what_is_put_is_handed_out_until_it_is_acknowledged(queue: WebhookQueue) -> None:
    queue.put(["birds/", "fish/"])
    first = queue.receive()
    assert first.names == {"birds/", "fish/"}
    assert queue.receive() == first
    queue.acknowledge(first.receipt)
    assert queue.receive() == Batch()


def test_a_notice_after_the_look_outlives_the_acknowledgement(queue: WebhookQueue) -> None:
    queue.put(["birds/", "fish/"])
    taken = queue.receive()
    queue.put(["birds/"])
    queue.acknowledge(taken.receipt)
    assert queue.receive().names == {"birds/"}


def test_an_acknowledgement_said_twice_takes_nothing_new(queue: WebhookQueue) -> None:
    queue.put(["birds/"])
    taken = queue.receive()
    queue.acknowledge(taken.receipt)
    queue.put(["birds/"])
    queue.acknowledge(taken.receipt)
    assert queue.receive().names == {"birds/"}


def test_an_acknowledgement_of_a_lost_file_takes_nothing(queue: WebhookQueue) -> None:
    queue.put(["birds/"])
    queue.acknowledge("1000")
    assert queue.receive().names == {"birds/"}


def test_a_flood_takes_one_row(queue: WebhookQueue) -> None:
    with ThreadPoolExecutor(8) as callers:
        list(callers.map(queue.put, [["birds/"]] * 2_000))
    assert queue.receive() == Batch(frozenset({"birds/"}), "1")


def test_another_process_sees_what_was_put(queue: WebhookQueue, tmp_path: Path) -> None:
    queue.put(["birds/"])
    assert WebhookQueue(tmp_path / "home" / "events.db").receive().names == {"birds/"}


def test_commits_are_synced(queue: WebhookQueue) -> None:
    """2 is FULL: SQLite syncs its log at each commit, before anybody can read it."""
    assert queue._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert queue._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(
    queue: WebhookQueue, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "home" / "events.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    queue._database.execute("PRAGMA busy_timeout=10")
    with pytest.raises(OSError, match="the queue of notices cannot be used"):
        queue.put(["birds/"])
    other.execute("ROLLBACK")
    queue.put(["birds/"])
    assert queue.receive().names == {"birds/"}


def test_a_corpus_of_which_much_is_named_takes_one_row(queue: WebhookQueue) -> None:
    keys = [f"birds/{number}.md" for number in range(MOST_KEYS + 1)]
    queue.put(keys[:-1])
    taken = queue.receive()
    assert taken.names == set(keys[:-1])
    queue.put([keys[-1], "fish/eel.md"])
    assert queue.receive().names == {"birds/", "fish/eel.md"}
    queue.acknowledge(taken.receipt)  # the row for all is younger
    assert queue.receive().names == {"birds/", "fish/eel.md"}


NAMES = ("birds/", "birds/jay.md", "birds/owl.md", "fish/eel.md")


@given(st.lists(st.sampled_from([*NAMES, "receive", "acknowledge"]), max_size=30))
def test_every_notice_is_handed_out_after_it_came(steps: list[str]) -> None:
    """Whatever the order; a sensor that dies before its tick is stored only leaves a step out."""
    queue, batch = WebhookQueue(Path(":memory:")), Batch()
    owed: dict[str, int] = {}  # name -> when it was put last
    taken: dict[str, int] = {}
    for time, step in enumerate(steps):
        if step == "receive":
            batch, taken = queue.receive(), dict(owed)
            assert covers(batch, owed)
        elif step == "acknowledge":
            queue.acknowledge(batch.receipt)
            owed = {name: put for name, put in owed.items() if taken.get(name) != put}
        else:
            queue.put([step])
            owed[step] = time
    assert covers(queue.receive(), owed)


def covers(batch: Batch, owed: Collection[str]) -> bool:
    """Whether all that is owed is named, itself or as part of its corpus; nothing if nothing is."""
    named = by_corpus(batch.names)
    due = by_corpus(owed)
    return named.keys() == due.keys() and all(
        not named[corpus] or (keys and keys <= named[corpus]) for corpus, keys in due.items()
    )
