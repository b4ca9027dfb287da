"""Moves an object through a process that may not hold it: `python -m ... FOLDER` on LAKELOOM_LAKE.

The limit is on data (heap, stacks and anonymous mappings): one on addresses would count what the
allocator of each thread reserves and never touches.
"""

import hashlib
import resource
import sys
from pathlib import Path

from resources.registry import connect_lake
from resources.settings import Settings

MEMORY_BYTES = 512 * 1024 * 1024
OBJECT_BYTES = 2 * MEMORY_BYTES


def main(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    source, target = folder / "source", folder / "target"
    with source.open("wb") as file:
        for part in range(16):
            file.seek(part * OBJECT_BYTES // 16)
            file.write(f"part {part}".encode())
        file.truncate(OBJECT_BYTES)
    lake = connect_lake(Settings.from_env())
    lake.put("large", source)
    lake.download("large", target)
    assert target.stat().st_size == OBJECT_BYTES
    assert digest(source) == digest(target) == lake.sha256("large")
    used = resident()
    assert used < MEMORY_BYTES, f"{used} bytes were resident"


def resident() -> int:
    """Most bytes of this program alone; `ru_maxrss` also counts the process that started it."""
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
