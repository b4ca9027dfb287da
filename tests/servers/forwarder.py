"""A port of this machine in front of a Unix socket: containers reach a server as over a network."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def port_before(path: Path) -> Iterator[int]:
    """The port; every connection to it is one to the socket."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, path), daemon=True).start()
        yield listening.getsockname()[1]


def _accept(listening: socket.socket, path: Path) -> None:
    with suppress(OSError):  # closed: the test is over
        while True:
            near, _ = listening.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(path))
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pour, args=(source, target), daemon=True).start()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while some := source.recv(65_536):
            target.sendall(some)
        target.shutdown(socket.SHUT_WR)
