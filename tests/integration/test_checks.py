"""Every asset check fails where its fault is planted, and says how grave that is.

One small corpus is materialised; each fault is planted in what it left and taken out again.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import dagster as dg
import pytest

from platform_assets.checkpoints import recipes
from platform_assets.checkpoints.checks import (
    better_than_the_champion,
    files_are_as_stored,
    its_corpora_are_there,
    trained_as_its_recipe_says,
)
from platform_assets.chunks.checks import every_document_has_chunks, within_token_limit
from platform_assets.chunks.table import CHUNKS
from platform_assets.documents.checks import every_object_accounted_for
from platform_assets.documents.table import DOCUMENTS
from platform_assets.embeddings.checks import one_unit_vector_a_chunk
from platform_assets.embeddings.table import EMBEDDINGS
from platform_assets.evaluation.checks import every_query_was_answered, not_worse_than_served
from platform_assets.evaluation.table import EVALUATION
from platform_assets.provenance import PREFIX, Record
from platform_assets.queries.checks import (
    no_test_document_in_training,
    something_can_be_measured,
    train_and_test_share_no_query,
)
from platform_assets.queries.table import QUERIES, TRAINING_PAIRS
from platform_assets.raw_objects.checks import manifest_matches_lake
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.vector_indexes.checks import (
    alias_resolves,
    approximate_search_finds_what_exact_search_finds,
    ids_are_live_chunks,
    vectors_have_dimensions_and_unit_length,
)
from resources import registry
from resources.vector_store import Collection
from resources.warehouse import TableSpec
from tests.faulty_vectors import Distorted, FaultyVectors, Forgetful
from tests.spies import Platform
from tests.tampering import Rows, tampered

pytestmark = pytest.mark.slow

CORPUS = "orchard"
FRUITS = (
    "apple", "bilberry", "cherry", "damson", "elderberry", "fig", "gooseberry", "hazelnut",
    "medlar", "nectarine", "olive", "pear", "quince", "raspberry", "sloe", "walnut",
)  # fmt: skip
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN

Fault = Callable[[Platform], AbstractContextManager[dict[str, Any]]]
"""Plants a fault for a while; what it gives replaces resources of the check."""


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with pytest.MonkeyPatch.context() as patch:
        platform = Platform(tmp_path_factory.mktemp("orchard"), patch)
        for fruit in FRUITS:
            text = f"# Growing the {fruit} on chalk\n\nThe {fruit} is pruned in winter.\n\n"
            text += f"## Harvest of the {fruit} by hand\n\nA ripe {fruit} comes off easily.\n"
            platform.write(CORPUS, f"{fruit}.md", text)
        platform.materialize(CORPUS, select="+key:published_index")
        yield platform


def rows_of(table: TableSpec, change: Callable[[Rows], None]) -> Fault:
    """Rows of a table changed by a commit of somebody else's."""

    @contextmanager
    def planted(platform: Platform) -> Iterator[dict[str, Any]]:
        with tampered(platform, table, change):
            yield {}

    return planted


def first(**values: Any) -> Callable[[Rows], None]:
    """Other values in the first row."""
    return lambda rows: rows[0].update(values)


def lose_first(rows: Rows) -> None:
    del rows[0]


def double_first(rows: Rows) -> None:
    rows.append(dict(rows[0]))


def lose_document(rows: Rows) -> None:
    rows[:] = [row for row in rows if row["doc_id"] != rows[0]["doc_id"]]


def longer_vector(rows: Rows) -> None:
    rows[0]["vector"] = [1.1 * value for value in rows[0]["vector"]]


def ask_both(rows: Rows) -> None:
    train, test = (next(row for row in rows if row["split"] == s) for s in ("train", "test"))
    train["text"] = test["text"]


def teach_all(rows: Rows) -> None:
    for row in rows:
        row["split"] = "train"


def fail_query(rows: Rows) -> None:
    rows[0].update(error="OSError: gone", ndcg_10=None, mrr_10=None, recall_10=None)


def score_nothing(rows: Rows) -> None:
    for row in rows:
        row["ndcg_10"] = 0.0


@contextmanager
def misspelt_corpus(platform: Platform) -> Iterator[dict[str, Any]]:
    """A recipe that is to learn from a corpus there is not."""
    text = recipes.RECIPES.read_text().replace("minilm-tuned.training", "minilm.training")
    edited = platform.state.settings.home / "recipes.toml"
    edited.write_text(text.replace('corpora = "all"', 'corpora = ["orchrad"]'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "RECIPES", edited)
        yield {}


def shown_to_training(column: str) -> Fault:
    """A training pair with a document of the test part."""

    @contextmanager
    def planted(platform: Platform) -> Iterator[dict[str, Any]]:
        [query, *_] = platform.rows(QUERIES, corpus=CORPUS, split="test")
        key = query["judgements"][0]["key"]
        shown = {column: key if column == "positive_key" else [key]}
        with tampered(platform, TRAINING_PAIRS, first(**shown)):
            yield {}

    return planted


def recorded(asset: str, **details: str) -> Fault:
    """The tuned encoder's last record says something."""

    @contextmanager
    def planted(platform: Platform) -> Iterator[dict[str, Any]]:
        record = Record(asset, "minilm-tuned", None, "0" * 64, 1, "1", details=details)
        platform.state.ledger.commit(record)
        try:
            yield {}
        finally:
            platform.state.lake.delete(f"{PREFIX}/latest/{asset}/minilm-tuned")

    return planted


def collection(fault: Callable[[Collection], Any]) -> Fault:
    """A fault in what the vector database answers."""

    @contextmanager
    def planted(platform: Platform) -> Iterator[dict[str, Any]]:
        yield {"vectors": FaultyVectors(platform.state.vectors, fault)}

    return planted


@contextmanager
def upload(platform: Platform) -> Iterator[dict[str, Any]]:
    platform.write(CORPUS, "late.md", "# Late")
    try:
        yield {}
    finally:
        platform.state.lake.delete(f"{CORPUS}/late.md")


@contextmanager
def altered_checkpoint(platform: Platform) -> Iterator[dict[str, Any]]:
    digest = platform.state.ledger.require("checkpoints", "minilm").details["checkpoint"]
    key = f"{PREFIX}/checkpoints/{digest}/config.json"
    whole = platform.state.lake.get(key)
    platform.state.lake.put(key, whole + b" ")
    try:
        yield {}
    finally:
        platform.state.lake.put(key, whole)


class Unserved(FaultyVectors):
    """Nothing is published."""

    def served(self, alias: str) -> None:
        del alias


@contextmanager
def no_alias(platform: Platform) -> Iterator[dict[str, Any]]:
    yield {"vectors": Unserved(platform.state.vectors, lambda real: real)}


PLANTED: list[tuple[dg.AssetChecksDefinition, dg.AssetCheckSeverity, Fault, str]] = [
    (manifest_matches_lake, WARN, rows_of(RAW_OBJECTS, lose_first), "1 objects have no row"),
    (manifest_matches_lake, WARN, upload, "1 objects have no row"),
    (every_object_accounted_for, ERROR, rows_of(DOCUMENTS, lose_first), "1 objects unaccounted"),
    (every_object_accounted_for, ERROR, rows_of(RAW_OBJECTS, lose_first), "1 extra"),
    (every_object_accounted_for, ERROR, rows_of(DOCUMENTS, double_first), "1 extra"),
    (within_token_limit, ERROR, rows_of(CHUNKS, first(token_count=257)), "257 tokens"),
    (every_document_has_chunks, ERROR, rows_of(CHUNKS, lose_document), "1 documents have no"),
    (every_document_has_chunks, ERROR, rows_of(DOCUMENTS, lose_first), "1 are gone"),
    (every_document_has_chunks, ERROR, rows_of(CHUNKS, double_first), "1 ids stand twice"),
    (train_and_test_share_no_query, ERROR, rows_of(QUERIES, ask_both), "1 texts in both"),
    (train_and_test_share_no_query, ERROR, rows_of(QUERIES, first(judgements=[])), "1 unjudged"),
    (something_can_be_measured, WARN, rows_of(QUERIES, teach_all), "no document has a word"),
    (no_test_document_in_training, ERROR, shown_to_training("positive_key"), "1 pairs show"),
    (no_test_document_in_training, ERROR, shown_to_training("negative_keys"), "1 pairs show"),
    (its_corpora_are_there, ERROR, misspelt_corpus, "names no corpus of this lake: orchrad"),
    (files_are_as_stored, ERROR, altered_checkpoint, "config.json of checkpoint"),
    (
        trained_as_its_recipe_says,
        WARN,
        recorded("checkpoints", trained="no", pair_count="3"),
        "3 training pairs",
    ),
    (
        better_than_the_champion,
        WARN,
        recorded("promoted_encoder", promoted="no", why="noise", champion="minilm v1"),
        "noise",
    ),
    (one_unit_vector_a_chunk, ERROR, rows_of(EMBEDDINGS, lose_first), "1 chunks lack a vector"),
    (one_unit_vector_a_chunk, ERROR, rows_of(CHUNKS, lose_first), "1 vectors a chunk"),
    (one_unit_vector_a_chunk, ERROR, rows_of(EMBEDDINGS, double_first), "lack a vector"),
    (one_unit_vector_a_chunk, ERROR, rows_of(EMBEDDINGS, longer_vector), "1 are not of unit"),
    (
        one_unit_vector_a_chunk,
        ERROR,
        rows_of(EMBEDDINGS, first(encoder_digest="0" * 64)),
        "1 of another encoder",
    ),
    (ids_are_live_chunks, ERROR, rows_of(CHUNKS, lose_first), "1 are obsolete"),
    (ids_are_live_chunks, ERROR, rows_of(CHUNKS, first(chunk_id="new")), "1 live chunks"),
    (
        vectors_have_dimensions_and_unit_length,
        ERROR,
        collection(lambda real: Distorted(real, lambda vectors: 0.9 * vectors)),
        "vector lengths lie",
    ),
    (
        vectors_have_dimensions_and_unit_length,
        ERROR,
        collection(lambda real: Distorted(real, lambda vectors: vectors[:, 1:])),
        "383 dimensions",
    ),
    (
        approximate_search_finds_what_exact_search_finds,
        ERROR,
        collection(lambda real: Forgetful(real, 1)),
        "recall@10 is 0.9",
    ),
    (alias_resolves, ERROR, no_alias, "nothing is published"),
    (every_query_was_answered, ERROR, rows_of(EVALUATION, fail_query), "queries failed"),
    (not_worse_than_served, WARN, rows_of(EVALUATION, score_nothing), "Quality fell"),
]


def examine(
    check: dg.AssetChecksDefinition, platform: Platform, overrides: dict[str, Any]
) -> dg.AssetCheckResult:
    """Carry a check out on what there is now."""
    state = platform.state
    resources = {
        "lake": state.lake,
        "warehouse": state.warehouse,
        "vectors": state.vectors,
        "checkpoint_store": state.checkpoints,
        "hub": registry.connect_hub(state.settings),
    } | overrides
    needed = {name: resources[name] for name in resources.keys() & check.required_resource_keys}
    found = check(dg.build_asset_check_context(), **needed)
    assert isinstance(found, dg.AssetCheckResult)
    return found


@pytest.mark.parametrize(
    ("check", "severity", "fault", "said"),
    PLANTED,
    ids=[f"{check.op.name}-{said.replace(' ', '_')}" for check, _, _, said in PLANTED],
)
def test_a_planted_fault_is_found(
    orchard: Platform,
    check: dg.AssetChecksDefinition,
    severity: dg.AssetCheckSeverity,
    fault: Fault,
    said: str,
) -> None:
    assert examine(check, orchard, {}).passed
    with fault(orchard) as overrides:
        found = examine(check, orchard, overrides)
    assert found.passed is False
    assert found.severity == severity
    assert said in str(found.description)
