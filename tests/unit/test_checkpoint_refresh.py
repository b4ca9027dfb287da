"""When a checkpoint is made anew: the trainings of one recipe are counted."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from platform_assets.checkpoints.recipes import Recipe, Training
from platform_assets.checkpoints.refresh import MadeCheckpoint, Workshop, refresh
from platform_assets.provenance import Record
from platform_assets.queries.table import TRAINING_PAIRS
from platform_assets.tables import OwnRows, rows_of
from resources.training import Resources, TrainingJob, TrainingResult
from tests.checkpoints import write_checkpoint
from tests.spies import Platform

CORPUS = "words"
TRAINING = Training(
    negatives=0, min_pairs=1, steps=1, batch_size=2, learning_rate=1e-5, warmup_ratio=0,
    scale=20, max_tokens=8, seed=1, save_steps=1,
)  # fmt: skip
ELSEWHERE = TRAINING.model_copy(
    update={"engine": "ray://head:6379", "resources": Resources(gpus=2)}
)
RECIPES = {
    "tuned": Recipe(name="tuned", base="tiny", training=TRAINING),
    "elsewhere": Recipe(name="elsewhere", base="tiny", training=ELSEWHERE),
    "plain": Recipe(name="plain", base="tiny"),
}


@dataclass
class Bench:
    """A small base model, one pair, and a trainer that hands the base back."""

    platform: Platform
    base: Path
    pairs: Record
    fetched: int = 0
    jobs: list[TrainingJob] = field(default_factory=list)
    latest: dict[str, Record] = field(default_factory=dict)

    def fetch(self, name: str) -> Path:
        assert name == "tiny"
        self.fetched += 1
        return self.base

    def train(self, job: TrainingJob) -> TrainingResult:
        self.jobs.append(job)
        write_checkpoint(job.output)
        return TrainingResult(1, 1, "cpu", "float32", ((1, 0.5),), 0.1)

    def make(self, recipe: str, version: str, *, only_if_missing: bool = False) -> MadeCheckpoint:
        state = self.platform.state
        workshop = Workshop(self, state.checkpoints, state.warehouse, self.train)
        latest, keep = self.latest.get(recipe), only_if_missing
        chosen = RECIPES[recipe]
        made = refresh(chosen, latest, [self.pairs], workshop, version, only_if_missing=keep)
        details = made.details
        self.latest[recipe] = Record(
            "checkpoints", recipe, None, details["encoder_digest"], 1, version, details=details
        )
        return made


@pytest.fixture
def bench(platform: Platform, tmp_path: Path) -> Bench:
    own = OwnRows(platform.state.warehouse, TRAINING_PAIRS, {"corpus": CORPUS})
    pair = dict.fromkeys(("query_id", "query", "positive", "positive_key"), "the fox")
    row = {**pair, "negatives": [], "negative_keys": [], "fingerprint": ""}
    own.replace(["the fox"], rows_of(TRAINING_PAIRS, [row]))
    return Bench(platform, write_checkpoint(tmp_path / "base"), own.record("1"))


@pytest.mark.parametrize("keep", [False, True])
def test_a_checkpoint_is_made_once_for_each_version_of_the_code(bench: Bench, keep: bool) -> None:
    for version, trainings in (("1", 1), ("1", 1), ("2", 2), ("2", 2)):
        before = len(bench.jobs)
        made = bench.make("tuned", version, only_if_missing=keep)
        assert len(bench.jobs) == trainings
        assert made.made_now is (trainings > before)
    assert bench.jobs[0].output != bench.jobs[1].output, "another version resumes no state"


def test_a_pretrained_model_is_fetched_once_for_each_version_of_the_code(bench: Bench) -> None:
    digests = set()
    for version, fetched in (("1", 1), ("1", 1), ("2", 2), ("2", 2)):
        digests.add(bench.make("plain", version).details["encoder_digest"])
        assert bench.fetched == fetched
    assert not bench.jobs
    assert len(digests) == 1, "the same weights are the same encoder: nothing is embedded anew"


def test_a_job_says_where_its_recipe_wants_it(bench: Bench) -> None:
    bench.make("tuned", "1")
    bench.make("elsewhere", "1")
    assert [job.engine for job in bench.jobs] == ["", "ray://head:6379"]
    assert [job.resources.gpus for job in bench.jobs] == [0, 2]
    assert [job.name for job in bench.jobs] == ["checkpoints/tuned", "checkpoints/elsewhere"]
    assert bench.jobs[0].hyperparameters == bench.jobs[1].hyperparameters
