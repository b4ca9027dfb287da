"""What a failed asset partition keeps from running."""

import pytest

from platform_assets.commands.materialize import Row, _blocked
from platform_assets.definitions import defs


@pytest.mark.parametrize(
    ("failed", "asset", "partition", "blocked"),
    [
        # a corpus may be named like an encoder
        (("chunks", "minilm"), "embeddings", "notes|minilm", False),
        (("chunks", "minilm"), "embeddings", "minilm|minilm-tuned", True),
        (("checkpoints", "minilm"), "embeddings", "minilm|minilm-tuned", False),
        (("checkpoints", "minilm"), "embeddings", "notes|minilm", True),
        (("training_pairs", "minilm"), "checkpoints", "minilm", False),
        (("checkpoints", "minilm"), "evaluation_plots", "minilm", False),
        (("embeddings", "notes|minilm"), "vector_index", "notes|minilm", True),
        (("embeddings", "notes|minilm"), "vector_index", "notes|minilm-tuned", False),
        (("retrieval_evaluation", "notes|minilm"), "published_index", "notes", False),
        (("documents", "notes"), "chunks", "notes", True),
        (("documents", "notes"), "chunks", "minutes", False),
    ],
)
def test_a_failure_blocks_what_is_made_of_it(
    failed: tuple[str, str], asset: str, partition: str, blocked: bool
) -> None:
    rows = {failed: Row(*failed, failed="a reason")}
    found = _blocked(defs, [asset], partition, rows)
    assert found == ({asset: f"{failed[0]} failed"} if blocked else {})


def test_a_failure_blocks_the_assets_behind_it_in_the_same_group() -> None:
    rows = {("documents", "notes"): Row("documents", "notes", failed="a reason")}
    assert _blocked(defs, ["chunks", "queries"], "notes", rows).keys() == {"chunks", "queries"}
    assert _blocked(defs, ["chunks", "training_pairs"], "notes", rows)["training_pairs"]
