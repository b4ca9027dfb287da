"""One process at a time.

Here: locks on a file or a folder, which wait and which a killed process lets go.
Not here: what they guard.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """While no other process of this machine is in a block on the same path; waits for that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def alone_in(folder: Path) -> AbstractContextManager[None]:
    """While nobody else, process or thread, is alone in a folder or reads it; waits for that.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    return _holding(folder, fcntl.LOCK_EX)


def among_readers_of(folder: Path) -> AbstractContextManager[None]:
    """While nobody is alone in a folder; waits for that.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    return _holding(folder, fcntl.LOCK_SH)


@contextmanager
def _holding(folder: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
