"""Merging the hits of parts: the same as the best of all of them, ties by id."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.evaluation.part_hits import HITS, LISTED, _merged
from resources.vector_store import Retriever
from resources.vector_store.gathered import best

FOUND = st.tuples(
    st.sampled_from(LISTED), st.integers(0, 2), st.integers(0, 40), st.sampled_from((0.5, 1.0, 1.5))
)


@given(st.lists(FOUND, unique_by=lambda hit: hit[:3]), st.integers(1, 4))
def test_the_best_of_all_parts_are_kept(
    hits: list[tuple[Retriever, int, int, float]], depth: int
) -> None:
    rows = [
        {"retriever": kind, "query": query, "point": f"{point}", "document": "d", "score": score}
        for kind, query, point, score in hits
    ]
    found = _merged(pa.Table.from_pylist(rows, HITS), depth, {})
    for kind in LISTED:
        for query in range(3):
            of_all = {f"{hit[2]}": hit[3] for hit in hits if hit[:2] == (kind, query)}
            wanted = best(of_all, depth)
            assert found.ranking(kind, query) == [("d", score) for score in wanted.values()]
            assert list(found._hits.get((kind, query), {})) == list(wanted)
