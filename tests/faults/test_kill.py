"""Killed anywhere, whole afterwards: `kill -9` in the middle of every asset that works long.

One platform is killed at stop after stop and taken up each time; another one is never disturbed.
"""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.provenance import sha256_text
from platform_assets.queries.table import QUERIES, TRAINING_PAIRS
from platform_assets.raw_objects.table import RAW_OBJECTS
from resources.warehouse import TableSpec
from tests.faults.killed_run import CORPUS, SMALL, STOPS, WAVE
from tests.spies import Calls, Platform

pytestmark = pytest.mark.slow

ASSETS = {
    "documents": "key:raw_objects",
    "embeddings": "key:chunks or key:checkpoints",
    "vector_index": None,
}
"""Asset -> what is materialised before it."""
LARGEST_WAVE = {"documents": 7, "embeddings": WAVE, "vector_index": WAVE}
"""Documents (four good ones and all the bad ones), texts or points."""
STEPS = 6
TABLES = (RAW_OBJECTS, DOCUMENTS, REJECTED_DOCUMENTS, CHUNKS, EMBEDDINGS, QUERIES, TRAINING_PAIRS)
VOLATILE = {"etag", "modified", "vector"}
"""Columns that differ between two uploads, or in the last bits."""
OF_VOLATILE = {"raw_objects": {"fingerprint"}, "embeddings": {"digest"}}
"""Columns computed from those."""
COSINE_FLOOR = 0.9999


@dataclass(frozen=True)
class Attempt:
    """One run of an asset, killed or not."""

    worked: list[str]
    """Documents parsed, texts encoded or points upserted, by key, digest or id."""
    done: set[str]
    """What was committed when it ended."""
    commits: int
    """Commits to the table of the asset's name."""


@dataclass
class Story:
    """The platform that was killed, and how it came to its end all the same."""

    platform: Platform
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    """Of each asset, in order; only the last one was not killed."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Exit status by stop."""
    trained_steps: int = 0


def upload(platform: Platform) -> None:
    for number in range(14):
        berth = "\n\n".join(
            f"## Rules of berth {number} when the wind is {wind}\n\n"
            f"A vessel of {number * 7 + 3} metres {act} while a {wind} wind blows."
            for wind, act in (("northern", "doubles her lines"), ("western", "leaves her berth"))
        )
        text = (
            f"# Harbour basin {number} and its moorings\n\nIt is {number} fathoms deep.\n\n{berth}"
        )
        platform.write(CORPUS, f"basin{number}.md", text)
    for number in range(3):
        platform.write(CORPUS, f"bad{number}.pdf", b"\x00 no document at all" * (number + 1))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with pytest.MonkeyPatch.context() as patch:
        for change in SMALL:
            patch.setattr(*change)
        platform = Platform(tmp_path_factory.mktemp("undisturbed"), patch)
        upload(platform)
        platform.materialize(CORPUS, select="+key:vector_index")
        rows = platform.materialize(CORPUS, encoders=["minilm-tuned"], select="+key:checkpoints")
        assert rows["checkpoints", "minilm-tuned"]["work"]["trained_steps"] == STEPS
        yield platform


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with pytest.MonkeyPatch.context() as patch:
        for change in SMALL:
            patch.setattr(*change)
        platform = Platform(tmp_path_factory.mktemp("killed"), patch)
        upload(platform)
        story = Story(platform)
        for asset, upstream in ASSETS.items():
            if upstream:
                platform.materialize(CORPUS, select=upstream)
            story.attempts[asset] = list(_attempts(story, asset))
        tuned = {"encoders": ["minilm-tuned"]}
        platform.materialize(CORPUS, select="key:queries or key:training_pairs", **tuned)
        _kill(story, "while training")
        rows = platform.materialize(CORPUS, select="checkpoints", **tuned)
        story.trained_steps = rows["checkpoints", "minilm-tuned"]["work"]["trained_steps"]
        yield story


def _attempts(story: Story, asset: str) -> Iterator[Attempt]:
    for name, stop in STOPS.items():
        if stop.asset == asset:
            yield _attempt(story, asset, _kill(story, name))
    story.platform.materialize(CORPUS, select=asset)
    yield _attempt(story, asset, story.platform.calls)


def _attempt(story: Story, asset: str, calls: Calls) -> Attempt:
    return Attempt(_worked(asset, calls), _done(asset, story.platform), calls.commits.count(asset))


def _kill(story: Story, stop: str) -> Calls:
    """Run until the stop; returns the calls until then."""
    home = story.platform.state.settings.home
    calls = home / "calls.json"
    calls.unlink(missing_ok=True)
    process = subprocess.run(
        [sys.executable, "-m", "tests.faults.killed_run", stop, str(calls)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "LAKELOOM_HOME": str(home)},
        check=False,
    )
    story.statuses[stop] = process.returncode
    return Calls(**json.loads(calls.read_text())) if calls.exists() else Calls()


def _worked(asset: str, calls: Calls) -> list[str]:
    if asset == "embeddings":
        return [sha256_text(text) for text in calls.encoded]
    return calls.parsed if asset == "documents" else calls.upserted


def _done(asset: str, platform: Platform) -> set[str]:
    if asset == "documents":
        tables = (DOCUMENTS, REJECTED_DOCUMENTS)
        return {row["key"] for table in tables for row in platform.rows(table, corpus=CORPUS)}
    if asset == "embeddings":
        return {row["text_digest"] for row in platform.rows(EMBEDDINGS, corpus=CORPUS)}
    return set(_points(platform))


def _points(platform: Platform) -> dict[str, str]:
    """Points of the finished collection, or of what a killed run left of it."""
    vectors = platform.state.vectors
    if names := vectors.collections():
        return vectors.open(names[0]).fingerprints()
    [unfinished] = (platform.state.settings.home / "vectors" / "building").iterdir()
    with vectors.build(unfinished.name, 384) as builder:
        return builder.fingerprints()


@pytest.mark.parametrize("stop", STOPS)
def test_the_run_was_killed(story: Story, stop: str) -> None:
    assert story.statuses[stop] == -signal.SIGKILL


@pytest.mark.parametrize("asset", ASSETS)
def test_finished_work_is_not_redone(story: Story, asset: str) -> None:
    attempts = story.attempts[asset]
    everything = attempts[-1].done
    for earlier, later in pairwise(attempts):
        assert earlier.done, "it was killed before anything was committed"
        assert earlier.done <= later.done
        assert not earlier.done & set(later.worked)
    redone = sum(len(attempt.worked) for attempt in attempts) - len(everything)
    assert redone <= LARGEST_WAVE[asset] * (len(attempts) - 1)
    assert attempts[0].done < everything


def test_finished_waves_are_not_committed_again(story: Story) -> None:
    *_, killed, last = story.attempts["embeddings"]
    assert last.commits == math.ceil(len(last.done - killed.done) / WAVE)


def test_killed_training_goes_on_from_its_last_saved_state(
    story: Story, undisturbed: Platform
) -> None:
    assert story.trained_steps == STEPS - 2
    found, expected = (_trained(platform) for platform in (story.platform, undisturbed))
    assert found == expected


def _trained(platform: Platform) -> tuple[str, str]:
    record = platform.state.ledger.require("checkpoints", "minilm-tuned")
    assert record.details["trained"] == "yes"
    return record.details["checkpoint"], record.details["encoder_digest"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_equal_those_of_an_undisturbed_run(
    story: Story, undisturbed: Platform, table: TableSpec
) -> None:
    found, expected = (_rows(platform, table) for platform in (story.platform, undisturbed))
    assert expected
    assert found == expected


def _rows(platform: Platform, table: TableSpec) -> list[dict[str, Any]]:
    dropped = VOLATILE | OF_VOLATILE.get(table.name, set())
    rows = platform.rows(table, corpus=CORPUS)
    kept = [{name: row[name] for name in row.keys() - dropped} for row in rows]
    return sorted(kept, key=lambda row: str(row[table.key]))


def test_vectors_equal_those_of_an_undisturbed_run(story: Story, undisturbed: Platform) -> None:
    found, expected = (_vectors(platform) for platform in (story.platform, undisturbed))
    assert found.keys() == expected.keys()
    for chunk_id, vector in expected.items():
        assert float(vector @ found[chunk_id]) > COSINE_FLOOR


def _vectors(platform: Platform) -> dict[str, Any]:
    rows = platform.rows(EMBEDDINGS, corpus=CORPUS)
    return {row["chunk_id"]: np.asarray(row["vector"]) for row in rows}


def test_the_index_equals_that_of_an_undisturbed_run(story: Story, undisturbed: Platform) -> None:
    names = undisturbed.state.vectors.collections()
    assert story.platform.state.vectors.collections() == names
    found, expected = (each.state.vectors.open(names[0]) for each in (story.platform, undisturbed))
    assert found.fingerprints() == expected.fingerprints()
    ids = sorted(expected.fingerprints())
    cosines = np.einsum("ij,ij->i", found.vectors(ids), expected.vectors(ids))
    assert cosines.min() > COSINE_FLOOR
