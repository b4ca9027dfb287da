"""Fixtures that every kind of test shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.servers.hub import HubDouble, named_hub
from tests.servers.moto import moto
from tests.servers.postgres import postgres
from tests.servers.seaweed import Seaweed, seaweed
from tests.spies import Platform

settings.register_profile("lakeloom", deadline=None, derandomize=True)  # no test is timed
settings.load_profile("lakeloom")


@pytest.fixture(scope="session")
def shared_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for many tests; each works on a corpus of its own."""
    with pytest.MonkeyPatch.context() as patch:
        yield Platform(tmp_path_factory.mktemp("platform"), patch)


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform of this test's own."""
    return Platform(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def seaweed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A real S3 server with a real Iceberg REST catalog, for tests that leave it running."""
    with seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server, for tests that leave it running."""
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def aws_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Endpoint of an emulator of AWS."""
    with moto(tmp_path_factory.mktemp("moto")) as endpoint:
        yield endpoint


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """A protocol double of the Hugging Face hub, which the settings name."""
    with named_hub(monkeypatch) as double:
        yield double
