"""The webhook's receiver: who may call it, and what it answers."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from resources.events.notices import Lake
from resources.events.receiver import MOST_BYTES, address, receiver
from resources.events.webhook import WebhookQueue

TOKEN = "planted-webhook-token"
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
BODY = json.dumps({"event_type": "create", "key": "/buckets/lake/birds/owl.md", "message": {}})


@pytest.fixture
def queue(tmp_path: Path) -> WebhookQueue:
    return WebhookQueue(tmp_path / "events.db")


@pytest.fixture
def client(queue: WebhookQueue) -> TestClient:
    return TestClient(receiver(queue, Lake.of("s3://lake"), TOKEN))


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer é".encode("latin-1")},
    ],
    ids=str,
)
def test_without_the_token_nothing_is_taken(
    client: TestClient, queue: WebhookQueue, shown: dict[str, str]
) -> None:
    answer = client.post("/", content=BODY, headers=shown)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in answer.text
    assert not queue.receive().names


def test_a_call_is_answered_when_its_notice_is_kept(
    client: TestClient, queue: WebhookQueue
) -> None:
    assert client.post("/any/path", content=BODY, headers=SHOWN).status_code == 200
    assert queue.receive().names == {"birds/owl.md"}


def test_the_name_of_the_scheme_may_be_in_any_case(client: TestClient) -> None:
    shown = {"Authorization": f"bearer {TOKEN}"}
    assert client.post("/", content=BODY, headers=shown).status_code == 200


def test_a_body_that_is_too_large_is_not_read(client: TestClient, queue: WebhookQueue) -> None:
    assert client.post("/", content=b" " * (MOST_BYTES + 1), headers=SHOWN).status_code == 413
    full = BODY.ljust(MOST_BYTES)
    assert client.post("/", content=full, headers=SHOWN).status_code == 200
    assert queue.receive().names == {"birds/owl.md"}


def test_a_body_of_no_declared_length_is_read_up_to_the_limit(client: TestClient) -> None:
    read = 0

    def parts() -> Iterator[bytes]:
        nonlocal read
        for _ in range(64):
            read += 1
            yield b" " * (MOST_BYTES // 4)

    assert client.post("/", content=parts(), headers=SHOWN).status_code == 413


def test_what_is_no_notification_is_refused(client: TestClient) -> None:
    assert client.post("/", content=b'{"hello": 1}', headers=SHOWN).status_code == 400


def test_other_methods_and_the_probe(client: TestClient) -> None:
    assert client.get("/health").text == "ok"
    assert client.get("/", headers=SHOWN).status_code == 405


def test_a_notice_that_cannot_be_kept_is_not_acknowledged() -> None:
    class Full:
        def put(self, _: Collection[str]) -> None:
            raise OSError("disk full")

    client = TestClient(receiver(Full(), Lake.of("s3://lake"), TOKEN))
    answer = client.post("/", content=BODY, headers=SHOWN)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_the_address_is_that_of_the_setting() -> None:
    assert address("webhook://127.0.0.1:8099") == ("127.0.0.1", 8099)
    assert address("webhook://[::1]:8099") == ("::1", 8099)
    for wrong in ("polling://", "webhook://host", "webhook://:80", "webhook://h:x", "http://h:1"):
        with pytest.raises(ValueError, match="set webhook://HOST:PORT"):
            address(wrong)
    with pytest.raises(ValueError, match="LAKELOOM_EVENTS") as caught:
        address("webhook://me:secret@host")
    assert "secret" not in str(caught.value)
