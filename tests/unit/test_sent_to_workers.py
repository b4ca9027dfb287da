"""What an engine's tasks hold, as it comes out of a pickle on another machine."""

import pickle
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pytest

from platform_assets.chunks.assets import tokenizers
from platform_assets.raw_objects.table import RAW_OBJECTS
from platform_assets.tables import OwnRows, rows_of
from resources import registry
from resources.encoding.tokenizer import FastTokenizer
from resources.settings import Settings

T = TypeVar("T")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"LAKELOOM_HOME": str(tmp_path)})


def sent(thing: T) -> T:
    there: T = pickle.loads(pickle.dumps(thing))
    return there


def test_a_lake_reads_the_same_objects(settings: Settings) -> None:
    lake = registry.connect_lake(settings)
    lake.put("corpus/a.txt", b"bytes")
    assert sent(lake).get("corpus/a.txt") == b"bytes"


def test_a_lakes_pickle_holds_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-id-of-the-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-itself")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    lake = registry.connect_lake(Settings.from_env({"LAKELOOM_LAKE": "s3://some-lake"}))
    assert b"the-secret" not in pickle.dumps(lake)


def test_a_warehouse_reads_the_same_rows(settings: Settings) -> None:
    warehouse = registry.connect_warehouse(settings)
    row = dict.fromkeys(("doc_id", "key", "etag", "sha256", "fingerprint"), "x")
    own = OwnRows(warehouse, RAW_OBJECTS, {"corpus": "c"})
    own.replace(["x"], rows_of(RAW_OBJECTS, [{**row, "size": 1, "modified": None}]))
    found = sent(warehouse).scan(RAW_OBJECTS, {"corpus": "c"}, ["doc_id"])
    assert found.column("doc_id").to_pylist() == ["x"]


def test_a_tokenizer_brings_its_definition(settings: Settings) -> None:
    (known,) = tokenizers(registry.connect_hub(settings))
    assert isinstance(known, FastTokenizer)
    there = sent(known)
    there._definition = Path("/nowhere")
    assert there.digest == known.digest
    assert there.max_tokens == known.max_tokens
    text = "A worker on another machine counts the same tokens."
    assert there.offsets([text]) == known.offsets([text])
    assert there.count(text) == known.count(text)


def test_rows_are_digested_many_at_a_time_as_they_are_one_by_one(settings: Settings) -> None:
    from platform_assets.digests import digest_of_rows

    warehouse = registry.connect_warehouse(settings)
    own = OwnRows(warehouse, RAW_OBJECTS, {"corpus": "c"})
    assert own.digest() == digest_of_rows([])
    keys = [f"{value:04x}" for value in np.random.default_rng(0).permutation(300)]
    row = dict.fromkeys(("key", "etag", "sha256", "fingerprint"), "x")
    rows = [{**row, "doc_id": key, "key": key, "size": 1, "modified": None} for key in keys]
    own.replace(keys, rows_of(RAW_OBJECTS, rows))
    stored: pa.Table = warehouse.scan(RAW_OBJECTS, {"corpus": "c"}, ["doc_id", "digest"])
    pairs = sorted(zip(*(column.to_pylist() for column in stored.columns), strict=True))
    assert own.digest() == digest_of_rows(pairs)
