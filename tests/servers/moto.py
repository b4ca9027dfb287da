"""moto: an emulator of AWS, not AWS. It delivers S3 events to SQS and checks no signatures."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import answers, free_ports, running


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    """A running emulator; yields its endpoint for every AWS service."""
    (port,) = free_ports(1)
    command = [str(Path(sys.executable).with_name("moto_server")), "-H127.0.0.1", f"-p{port}"]
    with running(command, folder / "moto.log", lambda: answers(port)):
        yield f"http://127.0.0.1:{port}"
