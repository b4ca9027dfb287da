"""What notifications of object stores say, in every shape, and what is none."""

import json
from typing import Any

import pytest

from resources.events.notices import Lake

LAKE = Lake.of("s3://lake")


def record(key: str, bucket: str = "lake", event: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": event,
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": "0055AED6DCD90281"}},
    }


def s3(*records: dict[str, Any]) -> str:
    return json.dumps({"Records": records})


def filer(path: str, kind: str, **message: Any) -> str:
    return json.dumps({"event_type": kind, "key": path, "message": message})


@pytest.mark.parametrize(
    "event",
    [
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectRemoved:DeleteMarkerCreated",
        "LifecycleExpiration:Delete",
        "s3:ObjectRemoved:Delete",  # as MinIO writes it
    ],
)
def test_what_changes_an_object_names_it(event: str) -> None:
    assert LAKE.names(s3(record("birds/owl.md", event=event))) == {"birds/owl.md"}


def test_reading_changes_nothing() -> None:
    assert LAKE.names(s3(record("birds/owl.md", event="s3:ObjectAccessed:Get"))) == set()


def test_keys_of_s3_are_url_encoded() -> None:
    lake = Lake.of("s3://lake/my%20docs/2026")
    named = s3(record("my+docs/2026/birds/a%2Fb+%C3%A9.md"), record("other/fish/eel.md"))
    assert lake.names(named) == {"birds/a/b é.md"}


def test_many_records_of_one_notification() -> None:
    records = (record("birds/owl.md"), record("fish/eel.md"), record("birds/jay.md"))
    assert LAKE.names(s3(*records)) == {"birds/owl.md", "birds/jay.md", "fish/eel.md"}


def test_other_buckets_and_our_own_objects_are_no_news() -> None:
    records = (record("birds/owl.md", bucket="logs"), record("_lakeloom/warehouse/x.parquet"))
    assert LAKE.names(s3(*records)) == set()


def test_the_test_event_of_a_new_configuration_names_nothing() -> None:
    assert LAKE.names('{"Service": "Amazon S3", "Event": "s3:TestEvent"}') == set()


def test_the_envelope_of_sns_is_opened_once() -> None:
    inside = s3(record("birds/owl.md"))
    envelope = json.dumps({"Type": "Notification", "TopicArn": "arn:x", "Message": inside})
    assert LAKE.names(envelope) == {"birds/owl.md"}
    with pytest.raises(ValueError, match="no bucket notification"):
        LAKE.names(json.dumps({"Type": "Notification", "Message": envelope}))


def test_keys_of_eventbridge_are_not_url_encoded() -> None:
    detail = {"bucket": {"name": "lake"}, "object": {"key": "birds+1/owl.md"}}
    event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
    assert LAKE.names(json.dumps(event)) == {"birds+1/owl.md"}


def test_the_marker_of_a_folder_names_its_corpus() -> None:
    assert LAKE.names(s3(record("birds/owls/"), record("fish/"))) == {"birds/", "fish/"}


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **more}


def test_the_filer_names_objects() -> None:
    created = filer("/buckets/lake/fish/eel.md", "create", new_entry=entry("eel.md"))
    deleted = filer("/buckets/lake/fish/eel.md", "delete", old_entry=entry("eel.md"))
    assert LAKE.names(created) == LAKE.names(deleted) == {"fish/eel.md"}
    assert LAKE.names(filer("/etc/iam/identity.json", "update")) == set()


def test_a_rename_in_the_filer_names_both_ends() -> None:
    ends = {"old_entry": entry("eel.md"), "new_entry": entry("owl.md")}
    moved = {**ends, "new_parent_path": "/buckets/lake/birds/sub"}
    renamed = filer("/buckets/lake/fish/eel.md", "rename", **moved)
    assert LAKE.names(renamed) == {"fish/eel.md", "birds/sub/owl.md"}


def test_a_folder_that_goes_in_the_filer_names_its_corpus() -> None:
    folder = entry("sub", is_directory=True)
    deleted = filer("/buckets/lake/fish/sub", "delete", old_entry=folder)
    assert LAKE.names(deleted) == {"fish/"}
    moved = {"old_entry": folder, "new_entry": folder, "new_parent_path": "/buckets/lake/birds"}
    assert LAKE.names(filer("/buckets/lake/fish/sub", "rename", **moved)) == {"birds/", "fish/"}


def test_a_folder_that_appears_in_the_filer_is_no_news() -> None:
    """Its objects have notices of their own."""
    made = {"new_entry": entry("sub", is_directory=True), "new_parent_path": "/buckets/lake/fish"}
    assert LAKE.names(filer("/buckets/lake/fish/sub", "create", **made)) == set()


def test_a_folder_is_the_bucket_of_its_name() -> None:
    assert Lake.of("file:///srv/my%20state/lake").names(s3(record("birds/owl.md"))) == {
        "birds/owl.md"
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"Records": [{}]}',
        b'{"Records": [7]}',
        b'{"Records": [{"eventName": "x", "s3": {"bucket": {"name": "lake"}, "object": {}}}]}',
        b'{"Records": [{"eventName": 1, "s3": {"bucket": {"name": 2}, "object": {"key": 3}}}]}',
        b'{"detail": {}}',
        b"[" * 100_000,
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="no bucket notification"):
        LAKE.names(body)
