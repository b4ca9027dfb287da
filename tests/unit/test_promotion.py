"""The rule by which the champion alias moves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from platform_assets.checkpoints.assets import _registered
from platform_assets.checkpoints.champion import Champion, record, recorded
from platform_assets.checkpoints.promotion import judge
from platform_assets.provenance import Record
from resources.object_store.folder import FolderObjectStore


def champion() -> dict[str, float]:
    values = np.random.default_rng(1).uniform(0.2, 0.8, 60)
    return {f"packages/q{number}": float(value) for number, value in enumerate(values)}


def shifted(scores: Mapping[str, float], by: float, spread: float) -> dict[str, float]:
    noise = np.random.default_rng(2).normal(by, spread, len(scores))
    return {query: scores[query] + step for query, step in zip(scores, noise, strict=True)}


HOLDER = Champion("minilm", "1", champion())


def verdict(tuned: Mapping[str, float], holder: Champion | None = HOLDER) -> tuple[bool, str]:
    found = judge(Champion("tuned", "2", tuned), holder)
    return found.promote, found.why


def test_a_better_encoder_is_promoted_and_the_figures_say_why() -> None:
    promote, why = verdict(shifted(champion(), 0.05, 0.05))
    assert promote
    assert why.startswith("better: nDCG@10 +0.0")
    assert "against minilm v1 on 60 test queries" in why


def test_what_is_worse_in_hybrid_search_is_not_promoted() -> None:
    better, worse = shifted(champion(), 0.05, 0.05), shifted(champion(), -0.05, 0.05)
    holder = Champion("minilm", "1", champion(), hybrid=champion())
    found = judge(Champion("tuned", "2", better, hybrid=worse), holder)
    assert not found.promote
    assert found.why.startswith("worse in hybrid search: nDCG@10 -0.0")
    equal = judge(Champion("tuned", "2", better, hybrid=champion()), holder)
    assert equal.promote
    assert "; in hybrid search +0.0000 (p = 1.0000)" in equal.why


def test_noise_is_no_improvement() -> None:
    promote, why = verdict(shifted(champion(), 0.005, 0.2))
    assert not promote
    assert why.startswith("not significantly better: ")


def test_the_same_scores_and_worse_ones_are_no_improvement() -> None:
    assert not verdict(champion())[0]
    assert not verdict(shifted(champion(), -0.05, 0.05))[0]


def test_a_later_version_of_the_same_encoder_has_to_be_better_too() -> None:
    earlier = Champion("tuned", "1", champion())
    assert not verdict(shifted(champion(), -0.05, 0.05), earlier)[0]
    assert verdict(shifted(champion(), 0.05, 0.05), earlier)[0]


def test_the_champion_stays_champion_when_it_is_measured_again() -> None:
    again = Champion("tuned", "2", champion())
    assert verdict(shifted(champion(), -0.05, 0.05), again) == (True, "it is the champion")


def test_a_handful_of_better_queries_proves_nothing() -> None:
    few = dict(list(champion().items())[:3])
    promote, why = verdict({query: score + 0.1 for query, score in few.items()})
    assert not promote
    assert "on 3 test queries" in why


def test_without_a_common_test_query_nothing_is_promoted() -> None:
    promote, why = verdict({"stdlib/q0": 1.0})
    wanted = "no test query was answered both by it and by the champion, minilm v1"
    assert (promote, why) == (False, wanted)
    assert not verdict({"stdlib/q0": 1.0}, Champion("never-measured", "1", {}))[0]
    assert not verdict({})[0]


def test_the_first_encoder_has_no_opponent_but_must_be_measured() -> None:
    promote, why = verdict({"stdlib/q0": 0.1}, None)
    assert promote
    assert why.startswith("the first encoder measured")
    promote, why = verdict({}, None)
    assert not promote
    assert why.startswith("it answered no test query")


def test_what_a_champion_was_measured_at_is_kept(tmp_path: Path) -> None:
    lake = FolderObjectStore(f"file://{tmp_path}")
    assert recorded(lake) is None
    record(lake, HOLDER)
    assert recorded(lake) == HOLDER


@pytest.mark.parametrize("known_by", ["files", "encoder"])
def test_a_version_is_known_by_its_files_or_as_earlier_registries_have_it(known_by: str) -> None:
    class Registry:
        def version_of(self, encoder: str, digest: str) -> str | None:
            return "1" if (encoder, digest) == ("minilm", known_by) else None

    tracking: Any = Registry()
    details = {"checkpoint": "files", "encoder_digest": "encoder"}
    assert _registered(tracking, Record("checkpoints", "minilm", None, "", 1, "1", details=details))
    details = {"checkpoint": "others", "encoder_digest": "another"}
    record = Record("checkpoints", "minilm", None, "", 1, "1", details=details)
    assert _registered(tracking, record) is None
