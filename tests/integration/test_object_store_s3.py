"""What S3 has beyond the suite: versions, credentials, outages, on a real server."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from resources.object_store.clients import PATIENCE
from resources.object_store.s3 import S3ObjectStore
from tests.servers.faulty_proxy import faulty_proxy
from tests.servers.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed

SECRET = "planted-wrong-secret"
"""What must never be in an error."""
KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE")


@pytest.fixture
def server(seaweed_server: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Seaweed:
    for name, value in seaweed_server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(PATIENCE, "2")
    return seaweed_server


@pytest.fixture
def versioned(server: Seaweed) -> Iterator[tuple[S3ObjectStore, Any]]:
    client = boto3.Session().client("s3", endpoint_url=server.endpoint, region_name="us-east-1")
    bucket = "versioned"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    yield S3ObjectStore(f"s3://{bucket}/folder"), client
    for item in S3ObjectStore(f"s3://{bucket}").objects():
        S3ObjectStore(f"s3://{bucket}").purge(item.key)
    client.delete_bucket(Bucket=bucket)


def test_versions_are_listed_read_and_purged(versioned: tuple[S3ObjectStore, Any]) -> None:
    store, client = versioned
    for text in (b"one", b"two", b"three"):
        store.put("a", text)
    store.put("ab", b"neighbour")
    found = store.versions("a")
    assert [store.get("a", item.version) for item in found] == [b"three", b"two", b"one"]
    assert [item.size for item in found] == [5, 3, 3]
    assert store.get("a") == b"three"

    store.delete("a")
    assert len(store.versions("a")) == 3
    with pytest.raises(FileNotFoundError):
        store.get("a")

    upload = client.create_multipart_upload(Bucket="versioned", Key="folder/a")
    part = {"Bucket": "versioned", "Key": "folder/a", "UploadId": upload["UploadId"]}
    client.upload_part(**part, PartNumber=1, Body=b"x" * 5_000_000)
    store.purge("a")
    left = client.list_object_versions(Bucket="versioned", Prefix="folder/")
    assert [item["Key"] for item in left["Versions"]] == ["folder/ab"]
    assert "DeleteMarkers" not in left
    assert "Uploads" not in client.list_multipart_uploads(Bucket="versioned")


def test_an_upload_that_fails_leaves_no_parts(server: Seaweed, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 20_000_000)
    client = boto3.Session().client("s3", endpoint_url=server.endpoint, region_name="us-east-1")
    with faulty_proxy(server.endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        store = S3ObjectStore("s3://lake/aborted")
        proxy.fault = lambda _, path: "500" if "partNumber=3" in path else None
        with pytest.raises(ConnectionError, match="does not serve"):
            store.put("big", source)
        assert proxy.calls["fine"] >= 3  # it did begin, and it took back what it began
        assert "Uploads" not in client.list_multipart_uploads(Bucket="lake")
        assert not list(store.objects())


def test_an_object_that_takes_longer_than_patience_comes_in_pieces(
    server: Seaweed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each answer takes a second and breaks off after 10 MB; the whole takes ten seconds."""
    monkeypatch.setenv(PATIENCE, "4")
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(random.Random(7).randbytes(55_000_000))
    with faulty_proxy(server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        store = S3ObjectStore("s3://lake/slow")
        store.put("a", source)
        proxy.fault = lambda method, _: "slow" if method == "GET" else None
        store.download("a", target)
        assert target.read_bytes() == source.read_bytes()
        assert proxy.calls["slow"] < 10  # it was not begun again and again


def test_an_object_that_changes_while_it_is_read_is_not_mixed(
    server: Seaweed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(PATIENCE, "20")
    straight = S3ObjectStore("s3://lake/changing")
    straight.put("a", b"1" * 55_000_000)
    with faulty_proxy(server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)

        def change(method: str, _: str) -> str | None:
            if proxy.calls["slow"] == 3:
                straight.put("a", b"2" * 55_000_000)
            return "slow" if method == "GET" else None

        proxy.fault = change
        with pytest.raises(FileNotFoundError, match="a changed while it was read"):
            S3ObjectStore("s3://lake/changing").download("a", tmp_path / "target")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"AWS_SECRET_ACCESS_KEY": SECRET}, "SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": SECRET}, "InvalidAccessKeyId"),
        ({"AWS_SESSION_TOKEN": SECRET}, "InvalidAccessKeyId"),
        ({"AWS_PROFILE": "absent"}, "absent"),
    ],
)
def test_wrong_credentials_are_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str], said: str
) -> None:
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    for act in ("objects", "get", "put", "versions", "purge", "create"):
        with pytest.raises(PermissionError, match=said) as raised:
            _call(S3ObjectStore("s3://lake/x"), act)
        text = "".join(map(str, _chain(raised.value)))
        assert "AWS_ACCESS_KEY_ID" in text
        assert SECRET not in text
        assert SECRET_KEY not in text


def test_expired_credentials_are_one_clear_error(
    server: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_proxy(server.endpoint) as proxy:  # answers what AWS answers then
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        store = S3ObjectStore("s3://lake/x")
        proxy.fault = lambda _, __: "expired"
        for act in ("objects", "get", "put", "versions", "head"):
            with pytest.raises(PermissionError, match="AWS_SESSION_TOKEN"):
                _call(store, act)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("act", ["objects", "prefixes", "get", "versions"])
def test_a_bucket_that_is_not_there_is_one_clear_error(act: str) -> None:
    with pytest.raises(ValueError, match="no such bucket: make it, or set LAKELOOM_LAKE"):
        _call(S3ObjectStore("s3://nowhere/x"), act)


@pytest.mark.usefixtures("server")
def test_a_profile_gives_the_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        f"[team]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"
    )
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "team")
    store = S3ObjectStore("s3://lake/profile")
    store.put("a", b"1")
    assert store.get("a") == b"1"
    assert len(store.versions("a")) == 1


@pytest.mark.usefixtures("server")
def test_a_process_gives_credentials_that_expire(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As with roles and single sign-on, they come from elsewhere and expire."""
    answer = (
        f'{{"Version": 1, "AccessKeyId": "{ACCESS_KEY}", "SecretAccessKey": "{SECRET_KEY}",'
        ' "Expiration": "2099-01-01T00:00:00Z"}'
    )
    (tmp_path / "answer").write_text(answer)
    (tmp_path / "config").write_text(f"[default]\ncredential_process=cat {tmp_path}/answer\n")
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    store = S3ObjectStore("s3://lake/process")
    store.put("a", b"1")
    assert store.get("a") == b"1"


def test_an_endpoint_that_is_down_is_one_clear_error_and_is_found_again(
    server: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_proxy(server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        store = S3ObjectStore("s3://lake/down")
        store.put("a", b"1")
    for act in ("objects", "get", "put", "versions"):
        with pytest.raises(ConnectionError, match="AWS_ENDPOINT_URL"):
            _call(store, act)
    with proxy.serving():
        assert store.get("a") == b"1"


def _call(store: S3ObjectStore, act: str) -> object:
    arguments = {"put": ("k", b"1"), "create": ("k", b"1"), "objects": (), "prefixes": ()}.get(
        act, ("k",)
    )
    answer = getattr(store, act)(*arguments)
    return list(answer) if act == "objects" else answer


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
