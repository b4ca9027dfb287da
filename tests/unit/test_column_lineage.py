"""Column lineage as Dagster's catalogue shows it."""

from platform_assets.chunks.table import CHUNKS
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.queries.assets import PAIRS_LINEAGE
from platform_assets.queries.table import QUERIES, TRAINING_PAIRS
from platform_assets.results import lineage


def test_column_lineage_names_what_a_column_is_made_from() -> None:
    found = lineage(EMBEDDINGS, {"chunks": CHUNKS}, {"vector": ("chunks", "text")}).deps_by_column
    assert [(dep.asset_key.path, dep.column_name) for dep in found["vector"]] == [
        (["chunks"], "text")
    ]
    assert found["text_digest"][0].column_name == "text_digest"
    assert "digest" not in found


def test_lineage_of_training_pairs_names_columns_that_exist() -> None:
    tables = {"queries": QUERIES, "chunks": CHUNKS}
    assert PAIRS_LINEAGE.deps_by_column.keys() <= set(TRAINING_PAIRS.schema.names)
    for deps in PAIRS_LINEAGE.deps_by_column.values():
        assert [dep.column_name in tables[dep.asset_key.path[0]].schema.names for dep in deps] == [
            True
        ]
