"""Digests of files.

Here: the one function. Not here: what a digest stands for (each layer), rows and records
(platform_assets).
"""

import hashlib
from pathlib import Path


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
