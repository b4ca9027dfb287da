"""The search of an erasure: passages in raw bytes, in every compressed form, across blocks."""

import gzip
import io
import json
import random
import sqlite3
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.erasure.forms import READ_BYTES, decoded, form_of
from platform_assets.erasure.passages import BLOCK, WINDOW, Passages
from platform_assets.erasure.search import (
    Searched,
    Sought,
    objects_of,
    search_contents,
    search_folder,
)
from resources.object_store.folder import FolderObjectStore
from resources.settings import Settings

SENTENCE = "The registrar Quillon Vantreight Ossory signed the book on a Tuesday in March."
HEADING = "Quillon's Prognosis"


def sought(*running: str) -> Sought:
    return Sought(Passages.of(running or [SENTENCE], [HEADING]), ["d" * 64], [3])


@given(before=st.binary(max_size=200), after=st.binary(max_size=200))
def test_a_passage_is_found_wherever_it_stands(before: bytes, after: bytes) -> None:
    passages = Passages.of([SENTENCE])
    assert len(passages.found(before + SENTENCE.encode() + after)) >= len(SENTENCE) - WINDOW + 1


@given(st.binary(max_size=2_000))
def test_what_is_not_there_is_not_found(data: bytes) -> None:
    assert len(Passages.of([SENTENCE], [HEADING]).found(data)) == 0


@pytest.mark.parametrize("at", [BLOCK - 40, BLOCK - 1, BLOCK, 2 * BLOCK - WINDOW])
def test_blocks_hide_nothing(at: int) -> None:
    data = bytes(at) + SENTENCE[:WINDOW].encode() + bytes(BLOCK)
    assert len(Passages.of([SENTENCE]).found(data)) == 1


def test_a_heading_is_found_by_itself_and_in_json() -> None:
    passages = Passages.of([], [HEADING, 'Ärzte "und" Pfleger'])
    assert len(passages.found(f"query: {HEADING}.".encode()))
    assert len(passages.found(json.dumps({"text": 'Ärzte "und" Pfleger'}).encode()))


def test_windows_that_say_nothing_are_left_out() -> None:
    assert len(Passages.of(["-" * 500 + "=" * 500], ["================"])) == 0


def test_passages_can_be_kept_and_taken_away() -> None:
    passages = Passages.of([SENTENCE], [HEADING])
    again = Passages.from_json(passages.to_json())
    assert len(again) == len(passages)
    assert SENTENCE[:10] not in passages.to_json()
    rest = passages.without(passages.found(SENTENCE.encode()))
    assert len(rest.found(SENTENCE.encode())) == 0
    assert len(rest.found(HEADING.encode()))


def test_a_long_text_is_sampled_all_over() -> None:
    words = " ".join(f"word{number} of {number * 7919}" for number in range(40_000))
    passages = Passages.of([words])
    assert len(passages) < 10_000
    for start in range(0, len(words) - 2_000, len(words) // 7):
        assert len(passages.found(words[start : start + 2_000].encode()))


def in_parquet(path: Path) -> None:
    rows = [{"elements": [{"text": SENTENCE}]}] * 3
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd", write_statistics=False)


def in_avro(path: Path) -> None:
    """A container file written by hand: pyiceberg writes only Iceberg's own schemas."""
    text, sync = SENTENCE.encode(), b"s" * 16
    deflate = zlib.compressobj(wbits=-15)
    block = deflate.compress(long(len(text)) + text) + deflate.flush()
    header = {b"avro.codec": b"deflate", b"avro.schema": b'"string"'}
    meta = b"".join(long(len(part)) + part for pair in header.items() for part in pair)
    data = b"Obj\x01" + long(len(header)) + meta + long(0) + sync
    path.write_bytes(data + long(1) + long(len(block)) + block + sync)


def long(value: int) -> bytes:
    value, coded = value << 1, bytearray()
    while value > 0x7F:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*coded, value])


def in_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(SENTENCE.encode()))


def in_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f"<w:t>{SENTENCE}</w:t>")


def in_sqlite(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE snapshots (body BLOB)")
    database.execute("INSERT INTO snapshots VALUES (?)", [zlib.compress(SENTENCE.encode())])
    database.commit()
    database.close()


@pytest.mark.parametrize("write", [in_parquet, in_avro, in_gzip, in_zip, in_sqlite])
def test_compression_hides_nothing(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path)
    form = write.__name__.removeprefix("in_")
    assert form_of(path.read_bytes()[:16]) == form
    done = search_folder("home", tmp_path, sought())
    assert {find.form for find in done.found} == {form}
    assert done.decoded >= len(SENTENCE)
    path.write_bytes(path.read_bytes()[:40])  # as a crash leaves it
    done = search_folder("home", tmp_path, sought())
    assert done.unreadable == [str(path)]
    assert done.bytes == 40


LARGE = 300 << 20
"""Bytes of what is to be read in blocks."""


def large_gzip(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        write_large(file)


def large_zip(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("word/document.xml", "w", force_zip64=True) as member,
    ):
        write_large(member)


def write_large(file: IO[bytes]) -> None:
    for _ in range(LARGE >> 20):
        file.write(bytes(1 << 20))
    file.write(SENTENCE.encode())


@pytest.mark.parametrize("write", [large_gzip, large_zip])
def test_what_unpacks_to_much_is_searched_to_its_end_in_blocks(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / "file")
    done, peak = measured(lambda: search_folder("home", tmp_path, sought()))
    assert {find.form for find in done.found} == {write.__name__.removeprefix("large_")}
    assert done.decoded >= LARGE + len(SENTENCE)
    assert peak < LARGE / 2


def measured(work: Callable[[], Searched]) -> tuple[Searched, int]:
    """What was done, and the most bytes it held at a time."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_objects_of_a_lake_elsewhere_are_searched_as_files(tmp_path: Path) -> None:
    lake = FolderObjectStore(f"file://{tmp_path}/lake")
    in_sqlite(tmp_path / "lake" / "mail.db")
    with (tmp_path / "lake" / "large").open("wb") as file:
        file.truncate(LARGE)
        file.seek(0, io.SEEK_END)
        file.write(SENTENCE.encode())
    files = objects_of(lake, tmp_path / "cache")
    done, peak = measured(lambda: search_contents("lake", files, sought()))
    assert {(find.item, find.form) for find in done.found} == {
        ("mail.db", "sqlite"),
        ("large", "raw"),
    }
    assert peak < LARGE / 2
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_stands_before_the_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "file"
    noise = random.Random(7).randbytes(2 * READ_BYTES)
    path.write_bytes(gzip.compress(SENTENCE.encode() + noise, compresslevel=1)[:-100])
    done = search_folder("home", tmp_path, sought())
    assert "gzip" in {find.form for find in done.found}
    assert done.unreadable == [str(path)]


def test_what_cannot_be_decoded_says_so() -> None:
    with pytest.raises(ValueError, match="parquet cannot be read"):
        list(decoded("parquet", io.BytesIO(b"PAR1 and no more")))


def test_a_search_reads_every_file(tmp_path: Path) -> None:
    for name in ("a", "c/d"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "plain.txt").write_text(f"so {SENTENCE} so")
    large = tmp_path / "large"
    large.write_bytes(bytes(READ_BYTES - 20) + SENTENCE.encode())
    (tmp_path / "same").write_bytes(b"abc")
    wanted = Sought(sought().passages, [SHA_ABC], [3])
    done = search_folder("home", tmp_path, wanted)
    found = {Path(find.item).relative_to(tmp_path).as_posix(): find.form for find in done.found}
    assert found == {
        "a/plain.txt": "raw",
        "c/d/plain.txt": "raw",
        "large": "raw",
        "same": "same bytes",
    }
    assert done.items == 4
    assert done.bytes == large.stat().st_size + 3 + 2 * (len(SENTENCE) + 6)


SHA_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_places_of_this_machine_follow_the_settings(tmp_path: Path) -> None:
    given = {"LAKELOOM_HOME": str(tmp_path), "LAKELOOM_CATALOG": "postgresql://host/db"}
    places = Settings.from_env({**given, "LAKELOOM_LAKE": "s3://bucket"}).local_places()
    assert places == {
        "home": tmp_path,
        "vectors": tmp_path / "vectors",
        "tracking": tmp_path / "mlflow.db",
    }
    assert Settings.from_env(given).local_places()["lake"] == tmp_path / "lake"
