"""The losses against sums written out by hand, and how texts are dealt and passed."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.training.contrastive.batches import dealt, passes
from resources.training.hyperparameters import Hyperparameters
from resources.training.pairs import Batch, assemble

pytestmark = pytest.mark.slow  # for the import of torch

SCALE = 3.0
NEEDED = {
    "steps": 1, "batch_size": 4, "learning_rate": 1e-4, "warmup_ratio": 0, "scale": SCALE,
    "max_tokens": 16, "seed": 1, "save_steps": 1,
}  # fmt: skip
ROWS = [
    {"query": "q1", "positive": "a", "negatives": ["n"]},
    {"query": "q2", "positive": "b", "negatives": ["a"]},
    {"query": "q3", "positive": "a", "negatives": []},
]
POSITIVES = {"q1": {"a", "b"}, "q2": {"b"}, "q3": {"a"}}


@pytest.fixture
def batch() -> Batch:
    return assemble(ROWS, POSITIVES)


def vectors(batch: Batch) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    rng = np.random.default_rng(0)
    found = rng.normal(size=(len(batch.queries) + len(batch.candidates), 6))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def loss(batch: Batch, size: int | None = None, **settings: object) -> float:
    import torch

    from resources.training.contrastive.losses import contrastive_loss

    chosen = Hyperparameters.model_validate({**NEEDED, **settings})
    found = vectors(batch)[:, :size]
    found = found / np.linalg.norm(found, axis=1, keepdims=True)
    return float(contrastive_loss(torch.from_numpy(found), batch, chosen))


def cross_entropy(scores: list[float], right: int) -> float:
    return math.log(sum(map(math.exp, scores))) - scores[right]


def test_ranking_loss_leaves_other_right_answers_out(batch: Batch) -> None:
    found = vectors(batch)
    q1, q2, q3, a, b, n = found
    assert batch.candidates == ["a", "b", "n"]
    expected = [
        cross_entropy([SCALE * float(q1 @ each) for each in (a, n)], 0),  # b answers q1 too
        cross_entropy([SCALE * float(q2 @ each) for each in (b, a, n)], 0),
        cross_entropy([SCALE * float(q3 @ each) for each in (a, b, n)], 0),
    ]
    assert loss(batch) == pytest.approx(np.mean(expected))


def test_symmetric_loss_asks_the_positives_too(batch: Batch) -> None:
    q1, q2, q3, a, b, _ = vectors(batch)
    backwards = [
        cross_entropy([SCALE * float(a @ each) for each in (q1, q2)], 0),  # q3 is about a too
        cross_entropy([SCALE * float(b @ each) for each in (q2, q3)], 0),  # so is q1 about b
        cross_entropy([SCALE * float(a @ each) for each in (q3, q2)], 0),
    ]
    expected = (loss(batch) + np.mean(backwards)) / 2
    assert loss(batch, loss="symmetric") == pytest.approx(expected)


def test_dimensions_are_losses_of_prefixes(batch: Batch) -> None:
    expected = np.mean([loss(batch), loss(batch, size=4), loss(batch, size=2)])
    assert loss(batch, dimensions=(4, 2)) == pytest.approx(expected)
    with pytest.raises(ValueError, match="dimensions: 7 is more than the base's 6"):
        loss(batch, dimensions=(7,))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 5))
def test_each_text_is_dealt_to_one_process(lengths: list[int], processes: int) -> None:
    places = dealt(lengths, processes)
    assert places.shape[0] == processes
    taken = places[places >= 0].tolist()
    assert sorted(taken) == list(range(len(lengths)))
    for row in places:
        mine = [lengths[place] for place in row if place >= 0]
        assert mine == sorted(mine)


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=40).map(sorted),
    st.integers(1, 10),
    st.integers(1, 200),
)
def test_passes_hold_their_bounds_and_leave_out_no_text(
    lengths: list[int], texts: int, tokens: int
) -> None:
    found = list(passes(lengths, texts, tokens))
    assert (found[0].start, found[-1].stop) == (0, len(lengths))
    assert all(one.stop == other.start for one, other in pairwise(found))
    for each in found:
        size = each.stop - each.start
        assert 1 <= size <= texts
        assert size == 1 or size * lengths[each.stop - 1] <= tokens
