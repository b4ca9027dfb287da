"""The webhook, called by a real SeaweedFS; its queue is what the event sensor reads."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.events import by_corpus
from resources.events.webhook import WebhookQueue
from resources.object_store.obstore import ObstoreObjectStore
from tests.servers import free_ports
from tests.servers.receiver import TOKEN, environment, receiver
from tests.servers.seaweed import BUCKET, Seaweed, seaweed

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 60
NOTIFICATION = """
[notification.webhook]
enabled = true
endpoint = "http://127.0.0.1:{port}/"
bearer_token = "{token}"
timeout_seconds = 10
max_retries = 5
backoff_seconds = 1
max_backoff_seconds = 5
workers = 2
buffer_size = 10000
event_types = ["create", "update", "delete", "rename"]
path_prefixes = ["/buckets/lake/"]
"""


class Bucket:
    """The lake on a server that tells of its objects, and the queue where that arrives."""

    def __init__(self, server: Seaweed, home: Path) -> None:
        self.lake = ObstoreObjectStore(f"s3://{BUCKET}")
        self.filer, self.home = server.filer, home
        self.queue = WebhookQueue(home / "events.db")

    def named(self, *expected: str) -> bool:
        """Wait until all of these are named, and nothing else is; part of a corpus goes with it."""
        seen: set[str] = set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not seen >= set(expected):
            assert time.monotonic() < deadline, f"only {seen} were named"
            batch = self.queue.receive()
            self.queue.acknowledge(batch.receipt)
            seen |= batch.names
            time.sleep(0.05)
        return by_corpus(seen) == by_corpus(expected)

    def ask_filer(self, method: str, path: str) -> None:
        """Change entries without S3, as mounts and the filer's own API do."""
        request = urllib.request.Request(f"{self.filer}/buckets/{BUCKET}/{path}", method=method)
        with urllib.request.urlopen(request, timeout=30):
            pass


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    folder, home = tmp_path_factory.mktemp("seaweed"), tmp_path_factory.mktemp("home")
    (port,) = free_ports(1)
    config = folder / "config"
    config.mkdir()
    notification = NOTIFICATION.format(port=port, token=TOKEN)
    (config / "notification.toml").write_text(notification)
    env = environment(home, f"s3://{BUCKET}", port)
    with pytest.MonkeyPatch.context() as patch, receiver(env), seaweed(folder) as server:
        for name, value in server.env.items():
            patch.setenv(name, value)
        yield Bucket(server, home)


def test_seaweedfs_tells_of_creation_update_and_deletion(bucket: Bucket) -> None:
    key = "birds/sub folder/a b+é#%.md"
    bucket.lake.put(key, b"# Owl")
    assert bucket.named(key)
    bucket.lake.put(key, b"# Barn owl")
    assert bucket.named(key)
    bucket.lake.delete(key)
    assert bucket.named(key)


def test_seaweedfs_tells_of_both_ends_of_a_rename(bucket: Bucket) -> None:
    bucket.lake.put("fish/eel.md", b"# Eel")
    bucket.lake.put("snakes/boa.md", b"# Boa")
    assert bucket.named("fish/eel.md", "snakes/boa.md")
    bucket.ask_filer("POST", f"snakes/eel.md?mv.from=/buckets/{BUCKET}/fish/eel.md")
    assert bucket.named("fish/eel.md", "snakes/eel.md")


def test_seaweedfs_tells_of_a_folder_that_goes(bucket: Bucket) -> None:
    bucket.lake.put("moths/night/luna.md", b"# Luna")
    assert bucket.named("moths/night/luna.md")
    bucket.ask_filer("DELETE", "moths/night?recursive=true")
    assert bucket.named("moths/")


def test_our_own_objects_are_not_told_of(bucket: Bucket) -> None:
    bucket.lake.put("_lakeloom/records/x.json", b"{}")
    bucket.lake.put("bees/drone.md", b"# Drone")
    assert bucket.named("bees/drone.md")


def test_the_token_is_in_no_file_of_the_receiver(bucket: Bucket) -> None:
    files = [path for path in bucket.home.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"events.db", "receiver.log"}
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"LAKELOOM_EVENTS": ""}, "set webhook://HOST:PORT"),
        ({"LAKELOOM_EVENTS": "webhook://127.0.0.1:1"}, "LAKELOOM_EVENTS_TOKEN is empty"),
    ],
)
def test_a_receiver_that_cannot_work_says_which_variable_to_set(
    env: dict[str, str], said: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lakeloom"), "events"],
        env={**os.environ, "LAKELOOM_HOME": str(tmp_path), "LAKELOOM_EVENTS_TOKEN": "", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
