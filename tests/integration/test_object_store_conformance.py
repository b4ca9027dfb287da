"""The object-store suite on the local folder and on a real S3 server."""

import itertools

import pytest

from resources.object_store import ObjectStore
from resources.object_store.folder import FolderObjectStore
from resources.object_store.s3 import S3ObjectStore
from tests.integration.object_store_suite import ObjectStoreSuite
from tests.servers.seaweed import Seaweed

COUNT = itertools.count()


class TestFolder(ObjectStoreSuite):
    @pytest.fixture
    def store(self, tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
        return FolderObjectStore(f"file://{tmp_path_factory.mktemp('lake')}/with space")


class TestS3(ObjectStoreSuite):
    @pytest.fixture
    def store(self, seaweed_server: Seaweed, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
        for name, value in seaweed_server.env.items():
            monkeypatch.setenv(name, value)
        return S3ObjectStore(f"s3://lake/{next(COUNT):03}")
