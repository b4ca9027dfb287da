"""Copying folders whose files are mostly holes.

Here: a copy that keeps holes; the engine allots 32 MB pages that a small collection hardly fills.
Not here: what the files hold.
"""

import os
import shutil
from pathlib import Path

_BLOCK = 1 << 20


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder, leaving out the temporary folders of atomic writes in progress."""
    ignored = shutil.ignore_patterns(".atomicwrite*")
    shutil.copytree(source, target, ignore=ignored, copy_function=copy_file)


def copy_file(source: str, target: str) -> str:
    """Copy the data of a file and its length; what was a hole stays one."""
    with Path(source).open("rb", buffering=0) as reader, Path(target).open("wb") as writer:
        end = os.fstat(reader.fileno()).st_size
        writer.truncate(end)
        at = _next_data(reader.fileno(), 0, end)
        while at < end:
            hole = os.lseek(reader.fileno(), at, os.SEEK_HOLE)
            block = os.pread(reader.fileno(), min(_BLOCK, hole - at), at)
            os.pwrite(writer.fileno(), block, at)
            at = _next_data(reader.fileno(), at + len(block), end)
    return target


def _next_data(descriptor: int, at: int, end: int) -> int:
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA)
    except OSError:
        return end
