"""The search of an erasure: passages in raw bytes, in every compressed form, across blocks."""

import gzip
import io
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.erasure.forms import decoded, form_of
from platform_assets.erasure.passages import BLOCK, WINDOW, Passages
from platform_assets.erasure.search import READ_BYTES, Sought, search_folder
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
