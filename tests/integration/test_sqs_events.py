"""S3's notifications by SQS, on moto: an emulator of AWS that checks no signatures."""

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template
from typing import Any

import boto3
import pytest

from resources.events import Batch
from resources.events.sqs import MESSAGES, SqsEvents
from resources.object_store.obstore import ObstoreObjectStore
from resources.registry import _connect, connect_events
from resources.settings import Settings

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[2] / "deploy" / "aws"
REGION, ACCOUNT = "eu-west-1", "123456789012"
KEY = "birds/a b+é#%.md"
KINDS = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
ROUTES = ("sqs", "sns", "eventbridge")


class Emulator:
    """An account on the emulator, with a bucket and a queue of each test's own."""

    def __init__(self, endpoint: str, name: str) -> None:
        self._client: Callable[[str], Any] = lambda service: boto3.Session().client(
            service, endpoint_url=endpoint, region_name=REGION
        )
        self.sqs, self.bucket, self.queue = self._client("sqs"), f"lake-{name}", f"queue-{name}"
        self._client("s3").create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self.url = self.sqs.create_queue(
            QueueName=self.queue, Attributes=self.deployed("queue.json")
        )["QueueUrl"]
        self.lake = ObstoreObjectStore(f"s3://{self.bucket}")

    def notify(self, route: str) -> None:
        """Have the bucket send its notifications to the queue."""
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self._configure(route, answer["Attributes"]["QueueArn"])

    def deployed(self, name: str) -> dict[str, Any]:
        """A file of deploy/aws, filled in."""
        text = Template((DEPLOY / name).read_text())
        names = {"REGION": REGION, "ACCOUNT": ACCOUNT, "QUEUE": self.queue, "BUCKET": self.bucket}
        found: dict[str, Any] = json.loads(text.substitute(names))
        return found

    def _configure(self, route: str, queue: str) -> None:
        configuration: dict[str, Any]
        if route == "sqs":
            configuration = self.deployed("notification.json")
        elif route == "sns":
            sns = self._client("sns")
            topic = sns.create_topic(Name=self.queue)["TopicArn"]
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
            configuration = {"TopicConfigurations": [{"TopicArn": topic, "Events": KINDS}]}
        else:
            pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [self.bucket]}}}
            rules = self._client("events")
            rules.put_rule(Name=self.queue, EventPattern=json.dumps(pattern))
            rules.put_targets(Rule=self.queue, Targets=[{"Id": "queue", "Arn": queue}])
            configuration = {"EventBridgeConfiguration": {}}
        self._client("s3").put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration=configuration
        )

    def events(self, url: str | None = None) -> SqsEvents:
        """The queue as a process that starts connects it."""
        _connect.cache_clear()
        env = {"LAKELOOM_EVENTS": url or self.url, "LAKELOOM_LAKE": f"s3://{self.bucket}"}
        events = connect_events(Settings.from_env(env))
        assert isinstance(events, SqsEvents)
        return events

    def left(self) -> int:
        """Messages in the queue, hidden or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)


@pytest.fixture
def emulator(aws_emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "emulated",
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": aws_emulator,
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("resources.events.sqs.WAIT_SECONDS", 0)
    yield Emulator(aws_emulator, uuid.uuid4().hex[:12])
    _connect.cache_clear()


def settled(events: SqsEvents) -> frozenset[str]:
    """What is named, acknowledged at once."""
    batch = events.receive()
    events.acknowledge(batch.receipt)
    return batch.names


@pytest.mark.parametrize("route", ROUTES)
def test_uploads_and_deletions_arrive_on_the_moto_emulator(emulator: Emulator, route: str) -> None:
    emulator.notify(route)
    events = emulator.events()
    assert settled(events) == set()  # the test event of the new configuration
    emulator.lake.put(KEY, b"# Owl")
    emulator.lake.put("_lakeloom/records/x.json", b"{}")
    assert settled(events) == {KEY}
    emulator.lake.delete(KEY)
    emulator.lake.put("fish/eel.md", b"# Eel")
    assert settled(events) == {KEY, "fish/eel.md"}
    assert settled(events) == set()
    assert emulator.left() == 0


def test_a_queue_is_found_by_its_name_on_the_moto_emulator(emulator: Emulator) -> None:
    emulator.notify("sqs")
    emulator.lake.put(KEY, b"# Owl")
    assert settled(emulator.events(f"sqs://{emulator.queue}")) == {KEY}


def test_a_queue_that_is_not_there_names_the_variable_on_the_moto_emulator(
    emulator: Emulator,
) -> None:
    with pytest.raises(ValueError, match="LAKELOOM_EVENTS='sqs://nowhere'"):
        emulator.events("sqs://nowhere")


def test_a_queue_without_a_region_names_the_variable(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(ValueError, match="set AWS_REGION"):
        emulator.events(f"sqs://{emulator.queue}")


def test_messages_stay_until_they_are_acknowledged_on_the_moto_emulator(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies takes its receipts with it: the messages come back to the next one."""
    monkeypatch.setattr("resources.events.sqs.HIDDEN_SECONDS", 0)
    emulator.notify("sqs")
    emulator.lake.put(KEY, b"# Owl")
    monkeypatch.setattr("resources.events.sqs.MOST_CALLS", 1)
    died = emulator.events().receive()
    assert died.names == {KEY}
    events = emulator.events()
    events.acknowledge(died.receipt)
    assert emulator.left() == 2  # S3's test event is the other one
    assert settled(events) == {KEY}
    assert emulator.left() == 0


def test_more_messages_than_one_call_takes_on_the_moto_emulator(emulator: Emulator) -> None:
    emulator.notify("sqs")
    for number in range(3 * MESSAGES):
        emulator.lake.put(f"corpus{number % 7}/{number}.md", b"x")
    assert len(settled(emulator.events())) == 3 * MESSAGES
    assert emulator.left() == 0


def test_one_batch_is_bounded_on_the_moto_emulator(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.events.sqs.MOST_CALLS", 2)
    for number in range(3 * MESSAGES):
        emulator.sqs.send_message(QueueUrl=emulator.url, MessageBody=str(number))
    events = emulator.events()
    assert settled(events) == set()
    assert emulator.left() == MESSAGES
    settled(events)
    assert emulator.events().receive() == Batch()


def test_a_poisonous_message_goes_with_a_warning_on_the_moto_emulator(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.notify("sqs")
    for body in ("no JSON", '{"Records": [{}]}', "[" * 50_000):
        emulator.sqs.send_message(QueueUrl=emulator.url, MessageBody=body)
    emulator.lake.put(KEY, b"# Owl")
    with caplog.at_level(logging.WARNING, "resources.events.sqs"):
        assert settled(emulator.events()) == {KEY}
    assert caplog.text.count("is deleted: no bucket notification") == 3
    assert emulator.left() == 0
