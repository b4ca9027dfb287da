"""What `lakeloom` says of a vector database that cannot be used: one line, no secret in it.

No Qdrant server can be had here: a port nobody listens at is real, one that refuses is a stub.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from platform_assets.cli import main

SECRET = "planted-s3cret"
Said = Callable[[str], str]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Api key is used with an insecure connection", "ignore:Failed to obtain server version"
)


@pytest.fixture
def said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Said:
    """Standard error of `lakeloom status` with a vector database and a corpus."""
    monkeypatch.setenv("LAKELOOM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKELOOM_VECTORS_API_KEY", SECRET)
    (tmp_path / "home" / "lake" / "docs").mkdir(parents=True)
    (tmp_path / "home" / "lake" / "docs" / "a.md").write_text("# A")

    def run(url: str) -> str:
        monkeypatch.setenv("LAKELOOM_VECTORS", url)
        with pytest.raises(SystemExit) as ended:
            main(["status", "--json"])
        out, err = capsys.readouterr()
        assert (ended.value.code, out) == (1, "")
        assert SECRET not in err
        return err.splitlines()[-1]

    return run


@contextmanager
def answering(status: int) -> Iterator[str]:
    """URL of a server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_nobody_listens(said: Said) -> None:
    line = said("http://127.0.0.1:1")
    assert "LAKELOOM_VECTORS=http://127.0.0.1:1 does not answer" in line


def test_a_key_is_refused_by_a_stub(said: Said) -> None:
    with answering(401) as url:
        line = said(url)
    assert f"LAKELOOM_VECTORS={url} refuses access (401" in line
    assert "set LAKELOOM_VECTORS_API_KEY" in line


def test_a_stub_is_no_vector_database(said: Said) -> None:
    with answering(503) as url:
        assert f"LAKELOOM_VECTORS={url} does not serve: 503" in said(url)
