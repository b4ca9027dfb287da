"""Fixtures that every kind of test shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

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
