"""azurite: an emulator of Azure Blob Storage, from npm; `make test-stores` installs it."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers import answers, free_ports, running

PROGRAM = Path(__file__).parents[2] / "build/azurite/node_modules/.bin/azurite-blob"
ACCOUNT, CONTAINER = "lakeloom", "lake"
KEY = base64.b64encode(b"planted-azure-key").decode()


@contextmanager
def azurite(folder: Path) -> Iterator[Mapping[str, str]]:
    """A running emulator; yields the variables by which clients find it."""
    (port,) = free_ports(1)
    command = [
        *(str(PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
        *("--location", str(folder / "data"), "--skipApiVersionCheck", "--disableTelemetry"),
    ]
    account = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
    with running(command, folder / "azurite.log", lambda: answers(port), account):
        _make_container(f"127.0.0.1:{port}")
        yield {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{ACCOUNT}",
        }


def _make_container(authority: str) -> None:
    from pyarrow.fs import AzureFileSystem

    reach = {"blob_storage_authority": authority, "blob_storage_scheme": "http"}
    AzureFileSystem(ACCOUNT, account_key=KEY, **reach).create_dir(CONTAINER)
