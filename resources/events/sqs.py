"""Notices from Amazon SQS, where S3 sends its event notifications, also by SNS or EventBridge.

Here: receiving and deleting messages. Not here: what a message says (notices.py).
"""

import logging
import os
import uuid
from typing import Any
from urllib.parse import urlsplit

from resources.events import Batch
from resources.events.notices import Lake
from resources.settings import redacted

logger = logging.getLogger(__name__)

WAIT_SECONDS = 1
"""How long an empty queue is waited on. The daemon evaluates one sensor after the other, so the 20
seconds that SQS would allow are not ours to spend."""
MOST_CALLS = 100
"""Calls for one batch."""
MESSAGES = 10
"""What SQS hands out or deletes at most in one call."""
HIDDEN_SECONDS = 120
"""How long messages that were received stay hidden; those not deleted by then come back."""
ATTEMPTS = 5


class SqsEvents:
    """A queue of S3 event notifications.

    Receipts of messages are kept in memory, not in the sensor's cursor: those that a process takes
    with it to its end stand for messages that come back, which is harmless.
    """

    def __init__(self, url: str, lake: Lake) -> None:
        """Open `sqs://NAME` or the queue's own https URL; credentials as boto3 finds them."""
        self._client = _client(url)
        self._url = _queue_url(self._client, url)
        self._lake = lake
        self._held: dict[str, list[str]] = {}

    def receive(self) -> Batch:
        """Notices of the messages that wait, read until the queue looks empty."""
        names: set[str] = set()
        receipt, handles = uuid.uuid4().hex, list[str]()
        for call in range(MOST_CALLS):
            messages = self._messages(0 if call else WAIT_SECONDS)
            for message in messages:
                handles.append(message["ReceiptHandle"])
                names |= self._named(message)
            if not messages:
                break
        self._held = {receipt: handles}  # of an earlier batch nobody will ask any more
        return Batch(frozenset(names), receipt) if handles else Batch()

    def acknowledge(self, receipt: str) -> None:
        """Delete the messages of the last batch; those that cannot be deleted come back."""
        handles = self._held.pop(receipt, [])
        for start in range(0, len(handles), MESSAGES):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle}
                for number, handle in enumerate(handles[start : start + MESSAGES])
            ]
            answer = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
            if failed := answer.get("Failed"):
                logger.warning("%d messages stay in the queue: %s", len(failed), failed[0]["Code"])

    def _messages(self, wait_seconds: int) -> list[dict[str, Any]]:
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=MESSAGES,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=HIDDEN_SECONDS,
        )
        return list(answer.get("Messages", []))

    def _named(self, message: dict[str, Any]) -> frozenset[str]:
        """What one message names; a poisonous one names none, and goes with its batch."""
        try:
            return self._lake.names(message["Body"])
        except ValueError as error:
            logger.warning("message %s is deleted: %s", message["MessageId"], error)
            return frozenset()


def _client(url: str) -> Any:
    """A client with dagster-aws's rule for retries.

    dagster-aws 0.29 has a resource for S3 and none for SQS.
    """
    import boto3
    from dagster_aws import utils

    retries: Any = utils  # without types
    parts = urlsplit(url)
    host = parts.hostname or ""
    named = host.split(".")[1] if host.startswith("sqs.") else None
    region = named or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ValueError(f"LAKELOOM_EVENTS={redacted(url)!r} names no region: set AWS_REGION")
    return boto3.session.Session().client(
        "sqs",
        region_name=region,
        endpoint_url=None if parts.scheme == "sqs" else f"{parts.scheme}://{parts.netloc}",
        config=retries.construct_boto_client_retry_config(ATTEMPTS),
    )


def _queue_url(client: Any, url: str) -> str:
    if not url.startswith("sqs://"):
        return url
    name = url.removeprefix("sqs://").strip("/")
    try:
        return str(client.get_queue_url(QueueName=name)["QueueUrl"])
    except client.exceptions.QueueDoesNotExist:
        raise ValueError(f"LAKELOOM_EVENTS={redacted(url)!r}: there is no such queue") from None
