"""`lakeloom metrics` on a real platform: its figures are those of the tables and of the history."""

import time
from collections.abc import Callable, Iterator

import pytest

from platform_assets.documents.table import REJECTED_DOCUMENTS
from platform_assets.monitoring.metrics import METRICS
from tests.faulty_vectors import Distorted, FaultyVectors
from tests.servers.exporter import exporter, readiness, scraped
from tests.spies import Platform

pytestmark = pytest.mark.slow
DEADLINE_SECONDS = 60
OWL = "# The Barn Owl\n\nThe barn owl hunts voles over meadows by hearing alone.\n"
EEL = "# The European Eel\n\nThe eel crosses the Atlantic to spawn in the Sargasso Sea.\n"
UNIT = "vectors_have_dimensions_and_unit_length"
COUNTED = ("_total", "_bucket", "_count", "_sum")


def until(holds: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < DEADLINE_SECONDS
        time.sleep(0.2)


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Two documents and one that cannot be read, published; then one more upload that waits."""
    with pytest.MonkeyPatch.context() as patch:
        platform = Platform(tmp_path_factory.mktemp("platform"), patch)
        platform.write("birds", "owl.md", OWL)
        platform.write("birds", "eel.md", EEL)
        platform.write("birds", "broken.pdf", b"%PDF-1.7 nothing of the kind")
        platform.materialize("birds")
        platform.write("birds", "late.md", "# The Late Bird\n\nIt catches no worm.\n")
        yield platform


@pytest.fixture(scope="module")
def url(birds: Platform) -> Iterator[str]:
    with exporter(birds.state.settings.home) as address:
        yield address


def test_rows_rejections_and_indexes_are_those_of_the_tables(birds: Platform, url: str) -> None:
    found = scraped(url)
    (rejected,) = birds.rows(REJECTED_DOCUMENTS, corpus="birds")
    assert found["lakeloom_objects{corpus=birds}"] == 3
    assert found["lakeloom_documents{corpus=birds}"] == 2
    reason = rejected["reason"]
    assert found[f"lakeloom_rejected_documents{{corpus=birds,reason={reason}}}"] == 1
    chunks = found["lakeloom_chunks{corpus=birds}"]
    assert chunks >= 2
    assert found["lakeloom_index_points{corpus=birds,encoder=minilm}"] == chunks
    served = birds.state.vectors.served("birds")
    assert served
    name = f"lakeloom_served{{corpus=birds,encoder=minilm,retriever={served.retriever}}}"
    assert found[name] == 1
    quality = f"lakeloom_ndcg_10{{corpus=birds,encoder=minilm,retriever={served.retriever}}}"
    assert 0 < found[quality] <= 1
    assert found["lakeloom_vectors_bytes"] > 10_000


def test_the_backlog_is_what_the_served_index_does_not_show(url: str) -> None:
    found = scraped(url)
    assert found["lakeloom_backlog_objects{corpus=birds}"] == 1
    assert found["lakeloom_backlog_oldest_seconds{corpus=birds}"] > 0


def test_uploads_and_work_come_from_the_history(url: str) -> None:
    found = scraped(url)
    assert found["lakeloom_uploads_total{corpus=birds}"] == 3
    assert found["lakeloom_upload_to_searchable_seconds_count{corpus=birds}"] == 3
    assert found["lakeloom_upload_to_searchable_seconds_bucket{corpus=birds,le=+Inf}"] == 3
    assert found["lakeloom_upload_to_searchable_seconds_sum{corpus=birds}"] > 0
    assert found["lakeloom_work_total{asset=documents,kind=parsed}"] == 3
    chunks = found["lakeloom_chunks{corpus=birds}"]
    assert found["lakeloom_work_total{asset=embeddings,kind=embedded}"] == chunks
    assert found["lakeloom_embedding_seconds_total{encoder=minilm}"] > 0
    assert found["lakeloom_gate_total{corpus=birds,outcome=published}"] == 1
    assert found["lakeloom_runs{status=success}"] >= 1
    assert [
        value
        for name, value in found.items()
        if name.startswith("lakeloom_check_passed{asset=published_index,")
    ]


def test_probes(url: str) -> None:
    status, said = readiness(url)
    assert status == 200
    assert set(said.values()) == {"ok"}
    assert {"lake", "catalog", "vectors", "dagster"} <= said.keys()
    assert scraped(url)["lakeloom_up{source=catalog}"] == 1


def test_nothing_is_shown_that_is_not_listed(url: str) -> None:
    for name in scraped(url):
        plain = name.partition("{")[0]
        stripped = {plain.removesuffix(end) for end in COUNTED if plain.endswith(end)}
        assert METRICS.keys() & {plain, *stripped}, name


def test_a_restart_loses_nothing(birds: Platform, url: str) -> None:
    def counters() -> dict[str, float]:
        return {k: v for k, v in scraped(url).items() if k.partition("{")[0].endswith(COUNTED)}

    before = counters()
    with exporter(birds.state.settings.home) as again:
        url = again
        assert counters() == before


def test_what_happens_while_it_runs_is_counted(birds: Platform, url: str) -> None:
    """An edit that changes no chunk is searchable at once; the rest waits for the index."""
    birds.materialize("birds")
    until(lambda: scraped(url)["lakeloom_uploads_total{corpus=birds}"] == 4)
    until(lambda: scraped(url)["lakeloom_backlog_objects{corpus=birds}"] == 0)
    count = "lakeloom_upload_to_searchable_seconds_count{corpus=birds}"
    until(lambda: scraped(url)[count] == 4)
    birds.write("birds", "owl.md", OWL + "\n\n")
    until(lambda: scraped(url)["lakeloom_backlog_objects{corpus=birds}"] == 1)
    birds.materialize("birds")
    until(lambda: scraped(url)[count] == 5)
    until(lambda: scraped(url)["lakeloom_backlog_objects{corpus=birds}"] == 0)
    until(lambda: scraped(url)["lakeloom_gate_total{corpus=birds,outcome=unchanged}"] >= 1)


def test_what_the_gate_refuses_is_counted(birds: Platform, url: str) -> None:
    """Once a blocking check stops the run before the gate, once the gate itself refuses."""
    spoilt = FaultyVectors(birds.state.vectors, lambda real: Distorted(real, lambda v: v * 2))
    birds.write("birds", "third.md", "# The Third Bird\n\nIt is a heron and eats frogs.\n")
    assert not birds.answer("birds", vectors=spoilt)["ok"]
    blocked, refused = (
        f"lakeloom_gate_total{{corpus=birds,outcome={outcome}}}"
        for outcome in ("blocked", "refused")
    )
    until(lambda: scraped(url)[blocked] == 1)
    found = scraped(url)
    assert found[refused] == 0
    assert found[f"lakeloom_check_passed{{asset=vector_index,check={UNIT},severity=error}}"] == 0
    assert found[f"lakeloom_step_failures_total{{step=vector_index_{UNIT}}}"] == 1
    birds.answer("birds", select="key:retrieval_evaluation")
    assert not birds.answer("birds", select="key:published_index", vectors=spoilt)["ok"]
    until(lambda: scraped(url)[refused] == 1)
    assert scraped(url)[blocked] == 1
