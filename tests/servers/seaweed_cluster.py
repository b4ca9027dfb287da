"""A SeaweedFS cluster whose objects are erasure-coded, 10 + 4 parts over 7 volume servers.

Losing one server loses two parts of each volume; four could be missing.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import answers, free_ports, running
from tests.servers.seaweed import BUCKET, GRPC_OFFSET, Seaweed, identity, stores, weed

VOLUME_SERVERS = 7
PARTS = 14
ON_LOOPBACK = ("-volume.allowUntrustedRemoteEndpoints", "-preStopSeconds=0")
"""Volume servers copy parts from each other only where they trust the address."""


@dataclass(frozen=True, slots=True)
class Cluster(Seaweed):
    """A running cluster; `data` holds one folder a volume server."""

    master: str
    volume_servers: list[subprocess.Popen[bytes]]

    def encode(self) -> None:
        """Turn every volume of the bucket into parts on the volume servers."""
        for volume in self.whole_volumes():
            number = volume.stem.removeprefix(f"{BUCKET}_")
            self._shell(f"ec.encode -volumeId={number} -force")

    def parts(self, server: int) -> list[Path]:
        """Files of one server that hold a part of a volume."""
        return sorted(self.folder(server).glob("*.ec[0-9][0-9]"))

    def whole_volumes(self) -> list[Path]:
        """Files that hold a volume of the bucket that is not erasure-coded."""
        return sorted(self.data.glob(f"*/{BUCKET}_*.dat"))

    def folder(self, server: int) -> Path:
        """Where a volume server keeps its files."""
        return self.data / str(server)

    def _shell(self, command: str) -> str:
        done = subprocess.run(
            [weed(), "shell", f"-master={self.master}"],
            input=f"lock\n{command}\nunlock\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode or "error" in done.stdout + done.stderr:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout


@contextmanager
def seaweed_cluster(folder: Path) -> Iterator[Cluster]:
    """A running cluster with one bucket, `lake`."""
    config = folder / "s3.json"
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({"identities": [identity()]}))
    master, filer, s3, *volumes = free_ports(3 + VOLUME_SERVERS, GRPC_OFFSET)
    local = ("-ip=127.0.0.1", "-ip.bind=127.0.0.1")
    with ExitStack() as stack:

        def start(
            kind: str, port: int, *options: str, ready: Callable[[], bool] | None = None
        ) -> subprocess.Popen[bytes]:
            command = [weed(), kind, *local, f"-port={port}", *options]
            log = folder / f"{kind}-{port}.log"
            return stack.enter_context(running(command, log, ready or (lambda: answers(port))))

        place = folder / "master"
        place.mkdir()
        start("master", master, f"-mdir={place}", "-volumeSizeLimitMB=64", "-telemetry=false")
        servers = []
        for number, port in enumerate(volumes):
            data = folder / "data" / str(number)
            data.mkdir(parents=True)
            where = (f"-dir={data}", f"-master=127.0.0.1:{master}", "-max=20")
            servers.append(start("volume", port, *where, *ON_LOOPBACK))
        gateway = ("-s3", f"-s3.port={s3}", f"-s3.config={config}", "-s3.autoCreateBucket")
        store = (f"-master=127.0.0.1:{master}", f"-defaultStoreDir={folder}")
        process = start("filer", filer, *store, *gateway, ready=lambda: answers(s3) and stores(s3))
        yield Cluster(
            endpoint=f"http://127.0.0.1:{s3}",
            catalog="",
            filer=f"http://127.0.0.1:{filer}",
            data=folder / "data",
            process_id=process.pid,
            master=f"127.0.0.1:{master}",
            volume_servers=servers,
        )
