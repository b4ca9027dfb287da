"""Real servers on free loopback ports, for tests. One file for each.

Here: starting a process, waiting until it answers, stopping it by its process id.
"""

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

PATIENCE_SECONDS = 60
GENTLE_SECONDS = 3
"""Given to a server to end by itself; some wait for clients that are still connected."""


def free_ports(count: int, offset: int = 0) -> list[int]:
    """Ports of the loopback that are free, each together with the port `offset` above it."""
    found: list[int] = []
    taken: set[int] = set()
    while len(found) < count:
        port = random.randrange(20_000, 32_000)  # below what the kernel gives to clients
        wanted = {port, port + offset}  # one port's other may be another port itself
        if taken.isdisjoint(wanted) and all(map(_is_free, wanted)):
            found.append(port)
            taken |= wanted
    return found


def answers(port: int) -> bool:
    """Whether something listens on a loopback port."""
    with closing(socket.socket()) as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server process, from the moment it is ready; stopped at the end.

    Raises:
        RuntimeError: it ended or was not ready in time; its log's end is in the message.
    """
    with log.open("ab") as out:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **(env or {})},
        )
    try:
        deadline = time.monotonic() + patience_seconds
        while not ready():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield server
    finally:
        stop(server)


def stop(server: subprocess.Popen[bytes]) -> None:
    """End a process, gently at first."""
    server.terminate()
    try:
        server.wait(GENTLE_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
