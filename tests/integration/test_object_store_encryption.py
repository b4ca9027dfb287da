"""Encryption by the S3 server, proven on the bytes that it keeps."""

import base64
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from platform_assets.documents.table import DOCUMENTS
from resources.object_store.s3 import S3ObjectStore
from tests.servers.seaweed import Seaweed, seaweed
from tests.spies import Platform

MARKER = b"planted-marker-of-a-document"
TABLE_DATA, TABLE_MANIFEST = b"PAR1", b"avro.codec"
"""What every data file and every manifest of an Iceberg table holds."""
SECRET = "planted-wrong-key"
SSE_S3 = {"AWS_SERVER_SIDE_ENCRYPTION": "AES256"}
SSE_C = {
    "AWS_SERVER_SIDE_ENCRYPTION": "sse-c",
    "AWS_SSE_CUSTOMER_KEY_BASE64": base64.b64encode(b"k" * 32).decode(),
}


def on_disk(folder: Path, text: bytes) -> bool:
    return any(text in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def unencrypted(server: Seaweed) -> list[str]:
    """Keys that the server gives to a reader without the settings, and does not call encrypted."""
    s3 = boto3.Session().client("s3", endpoint_url=server.endpoint, region_name="us-east-1")
    found = []
    for item in s3.list_objects_v2(Bucket="lake")["Contents"]:
        with suppress(ClientError):
            answer = s3.get_object(Bucket="lake", Key=item["Key"])
            found += [item["Key"]] * ("ServerSideEncryption" not in answer)
    return found


@pytest.mark.parametrize(
    ("settings", "plain"),
    [({}, True), (SSE_S3, False), (SSE_C, False)],
    ids=["none", "SSE-S3", "SSE-C"],
)
def test_neither_documents_nor_tables_lie_plain_on_the_servers_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str], *, plain: bool
) -> None:
    with seaweed(tmp_path / "server") as server:
        for name, value in {**server.env, **settings, "LAKELOOM_LAKE": "s3://lake"}.items():
            monkeypatch.setenv(name, value)
        platform = Platform(tmp_path / "home", monkeypatch)
        platform.write("birds", "owl.md", b"# Owls\n\n" + MARKER + b"\n")
        platform.materialize("birds", select="key:raw_objects or key:documents")
        (row,) = platform.rows(DOCUMENTS, corpus="birds")
        assert MARKER.decode() in row["elements"][-1]["text"]
        assert bool(unencrypted(server)) == plain
    for text in (MARKER, TABLE_DATA, TABLE_MANIFEST):
        assert on_disk(server.data, text) == plain


@pytest.fixture
def server(seaweed_server: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Seaweed:
    for name, value in seaweed_server.env.items():
        monkeypatch.setenv(name, value)
    return seaweed_server


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "wrong",
    [
        {"AWS_SERVER_SIDE_ENCRYPTION": "sse-c"},
        {"AWS_SERVER_SIDE_ENCRYPTION": "rot13"},
        {**SSE_C, "AWS_SSE_CUSTOMER_KEY_BASE64": SECRET},
        {**SSE_C, "AWS_SSE_CUSTOMER_KEY_BASE64": "c2hvcnQ="},
    ],
)
def test_wrong_settings_are_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="AWS_SSE_CUSTOMER_KEY_BASE64") as raised:
        S3ObjectStore("s3://lake/x").put("a", b"1")
    assert SECRET not in str(raised.value)


@pytest.mark.usefixtures("server")
def test_what_a_customers_key_encrypted_needs_that_key() -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SSE_C.items():
            patch.setenv(name, value)
        store = S3ObjectStore("s3://lake/sse-c")
        store.put("a", b"1")
        assert store.get("a") == b"1"
        assert store.swap("a", b"2", store.head("a").etag)
        assert [store.get("a", item.version) for item in store.versions("a")] == [b"2"]
    with pytest.raises(ValueError, match="encryption settings"):
        S3ObjectStore("s3://lake/sse-c").get("a")
