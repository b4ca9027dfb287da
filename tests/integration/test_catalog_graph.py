"""The whole graph with its lake on a real S3 server and its tables in a real catalog."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from platform_assets.chunks.table import CHUNKS
from platform_assets.commands.trace import trace
from platform_assets.documents.table import DOCUMENTS
from platform_assets.embeddings.table import EMBEDDINGS
from tests.catalogs import PASSWORD, catalog_env
from tests.spies import Platform

CORPUS = "ships"
PAGES = {
    "bell.md": "# The ship's bell\n\nIt is struck every half hour of the watch.",
    "log.md": "# The log line\n\nKnots on a line are counted against the sandglass.",
    "lead.md": "# The lead\n\nTallow under the lead brings up sand from the bottom.",
}


@dataclass(frozen=True)
class Voyage:
    """A platform whose corpus is published, and the variables that name its systems."""

    platform: Platform
    env: Mapping[str, str]


@pytest.fixture(scope="module", params=["postgres", "rest"])
def voyage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Voyage]:
    env = catalog_env(request.param, request)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        platform = Platform(tmp_path_factory.mktemp(request.param), patch)
        for key, text in PAGES.items():
            platform.write(CORPUS, key, text)
        platform.materialize(CORPUS)
        yield Voyage(platform, env)


def test_documents_become_searchable(voyage: Voyage) -> None:
    hits = voyage.platform.search(CORPUS, "what is under the lead", top=1)
    assert [hit["key"] for hit in hits] == ["lead.md"]


def test_every_link_of_the_trace_holds(voyage: Voyage) -> None:
    answer = trace(voyage.platform.state, CORPUS)
    assert answer["ok"], answer


def test_tables_lie_in_the_object_store_and_nowhere_else(voyage: Voyage) -> None:
    for table in (DOCUMENTS, CHUNKS, EMBEDDINGS):
        assert len(voyage.platform.rows(table, corpus=CORPUS)) == len(PAGES)
    assert not list(voyage.platform.state.settings.home.rglob("*.parquet"))


def test_nothing_changed_is_no_work_and_an_edit_is_little(voyage: Voyage) -> None:
    platform = voyage.platform
    platform.materialize(CORPUS)
    assert platform.calls.none()
    platform.write(CORPUS, "bell.md", "# The ship's bell\n\nEight bells end the watch.")
    platform.materialize(CORPUS)
    assert platform.calls.parsed == ["bell.md"]
    assert len(platform.calls.upserted) == 1
    assert trace(platform.state, CORPUS)["ok"]


def test_no_secret_is_kept(voyage: Voyage) -> None:
    secrets = [voyage.env["AWS_SECRET_ACCESS_KEY"].encode(), PASSWORD.encode()]
    state = voyage.platform.state
    files = [path for path in state.settings.home.rglob("*") if path.is_file()]
    kept = {str(path): path.read_bytes() for path in files}
    kept |= {item.key: state.lake.get(item.key) for item in state.lake.objects()}
    leaks = [name for name, data in kept.items() if any(secret in data for secret in secrets)]
    assert kept
    assert not leaks
