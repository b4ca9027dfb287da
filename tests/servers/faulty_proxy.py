"""A proxy before a real S3 server that spoils a share of the calls, as networks and AWS do."""

import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.servers import free_ports

ANSWERS = {
    "500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
}
"""Fault -> what S3 answers then; other faults: `reset`, `lost`, `truncated` and `slow`."""
SLOW_SECONDS, SLOW_BYTES = 1, 10_000_000
"""When a slow answer begins, and after how many bytes it breaks off."""
Fault = Callable[[str, str], str | None]
"""Method and path to the fault a call gets, if any."""


def none(_: str, __: str) -> str | None:
    """No fault."""
    return None


def share(part: float, *kinds: str, seed: int = 7) -> Fault:
    """Spoils `part` of the calls, by one of `kinds` each."""
    dice, lock = random.Random(seed), threading.Lock()

    def fault(_: str, __: str) -> str | None:
        with lock:
            return dice.choice(kinds) if dice.random() < part else None

    return fault


@dataclass
class FaultyProxy:
    """A running proxy; `fault` may be changed at any time."""

    port: int
    upstream: str
    fault: Fault = none
    calls: Counter[str] = field(default_factory=Counter)
    """How often each fault was given; `fine` counts the rest."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """While it listens; before and after, connections are refused."""
        handler = type("Handler", (_Handler,), {"proxy": self})
        server = _Server(("127.0.0.1", self.port), handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            for connection in server.connections:
                hang_up(connection)


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """A running proxy before `upstream`, with no faults yet."""
    (port,) = free_ports(1)
    proxy = FaultyProxy(port, upstream)
    with proxy.serving():
        yield proxy


def hang_up(connection: socket.socket) -> None:
    """End a connection as a crash would, not with a goodbye."""
    with suppress(OSError):  # it may be closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connections: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, Any]:
        """Remember who is connected: clients keep connections open."""
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may go away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def handle_any(self) -> None:
        body = self._body()
        kind = self.proxy.fault(self.command, self.path)
        self.proxy.calls[kind or "fine"] += 1
        if kind == "reset":
            self._reset()
        elif kind in ANSWERS:
            self._answer(*ANSWERS[kind])
        else:
            self._forward(body, kind)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _forward(self, body: bytes, kind: str | None) -> None:
        upstream = HTTPConnection(urlsplit(self.proxy.upstream).netloc, timeout=120)
        dropped = {"transfer-encoding", "connection", "expect", "content-length"}
        headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}
        upstream.request(self.command, self.path, body or None, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if kind == "lost":
            self._reset()
        else:
            self._send(answer, content, kind)

    def _send(self, answer: HTTPResponse, content: bytes, kind: str | None) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if kind == "slow":
            time.sleep(SLOW_SECONDS)
        sent = {"truncated": len(content) // 2, "slow": SLOW_BYTES}.get(kind or "", len(content))
        self.wfile.write(content[:sent])
        if kind == "truncated" or sent < len(content):
            self._reset()

    def _answer(self, status: int, code: str, message: str) -> None:
        body = (
            f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        )
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def _reset(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        hang_up(self.connection)
