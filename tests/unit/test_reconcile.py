"""The diff, the waves and what is written of them."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.reconcile import Plan, diff, fingerprints, waves

sides = st.dictionaries(st.text(min_size=1, max_size=4), st.sampled_from("abc"), max_size=12)


def side(rows: dict[str, str]) -> pa.Table:
    return fingerprints(list(rows), list(rows.values()))


@given(sides, sides)
def test_a_plan_names_exactly_what_differs(wanted: dict[str, str], have: dict[str, str]) -> None:
    plan = diff(side(wanted), side(have))
    assert set(plan.added) == wanted.keys() - have.keys()
    assert set(plan.removed) == have.keys() - wanted.keys()
    assert set(plan.changed) == {k for k in wanted.keys() & have if wanted[k] != have[k]}


def test_equal_sides_make_an_empty_plan() -> None:
    assert diff(side({"a": "1"}), side({"a": "1"})) == Plan()
    assert not diff(side({}), side({}))


def test_an_id_whose_rows_disagree_is_computed_again() -> None:
    half_written = fingerprints(["a", "a"], ["new", "old"])
    assert diff(side({"a": "new"}), half_written).changed == ("a",)


def test_several_rows_of_an_id_are_compared_as_a_set() -> None:
    wanted = fingerprints(["a", "a", "b"], ["1", "2", "1"])
    assert not diff(wanted, fingerprints(["b", "a", "a"], ["1", "2", "1"]))


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=20), st.integers(1, 20))
def test_waves_hold_every_id_once_within_capacity(weights: dict[str, int], capacity: int) -> None:
    found = list(waves(weights, capacity, slices=pc.utf8_length))
    assert sorted(item for wave in found for item in wave) == sorted(weights)
    for wave in found:
        assert len(wave) == 1 or sum(weights[item] for item in wave) <= capacity
    slices = [len(item) for wave in found for item in wave]
    assert slices == sorted(slices)


def test_a_diff_in_slices_is_the_diff(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"id{number:03d}" for number in range(100)]
    values = ["new" if name.endswith("7") else "same" for name in names]
    wanted = fingerprints(names[10:], values[10:])
    have = fingerprints(names[:90], ["same"] * 90)
    whole = diff(wanted, have)
    assert (len(whole.added), len(whole.changed), len(whole.removed)) == (10, 8, 10)
    monkeypatch.setattr("platform_assets.reconcile.SLICE", 7)
    assert diff(wanted, have) == whole
