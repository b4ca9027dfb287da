"""Keys that AWS takes, the real server of the tests does not and obstore cannot address.

moto is an emulator; it keeps any key, as AWS does.
"""

from typing import Any

import boto3
import pytest

from platform_assets.raw_objects.listings import listing
from resources.object_store.s3 import S3ObjectStore

STRANGE = ["birds/a//b", "birds/a/../b", "birds/tab\tz", "birds/a/./b", "/lead/x"]


@pytest.fixture
def bucket(aws_emulator: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    env = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}
    for name, value in {**env, "AWS_ENDPOINT_URL": aws_emulator}.items():
        monkeypatch.setenv(name, value)
    made = boto3.Session().resource("s3", region_name="us-east-1").create_bucket(Bucket="strange")
    yield made
    made.objects.all().delete()
    made.delete()


@pytest.mark.parametrize("strange", STRANGE)
def test_a_strange_key_hides_no_other(
    bucket: Any, strange: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = S3ObjectStore("s3://strange")
    for key in (strange, "birds/0", "birds/zz", "fish/1"):
        bucket.put_object(Key=key, Body=b"x")
    before = {item.key: item for item in S3ObjectStore("s3://strange/birds").objects("z")}
    assert {item.key for item in store.objects("birds/")} == {"birds/0", "birds/zz"}
    assert {"birds", "fish"} <= set(store.prefixes())
    assert bool(caplog.records) == strange.startswith("birds")
    # However it was listed, an object looks the same, or it would be read again.
    after = {item.key: item for item in store.objects("birds/z")}
    assert after["birds/zz"].etag == before["zz"].etag
    assert after["birds/zz"].modified == before["zz"].modified


def test_folder_markers_are_no_objects(bucket: Any) -> None:
    for key in ("birds/", "birds/nests/"):
        bucket.put_object(Key=key, Body=b"")
    bucket.put_object(Key="birds/nests/a.md", Body=b"x")
    bucket.put_object(Key="birds/empty", Body=b"")
    found = listing(S3ObjectStore("s3://strange"), "birds")
    assert set(found.column("key").to_pylist()) == {"nests/a.md", "empty"}
