"""The GPUs of this machine, as NVIDIA's own tool tells.

Not here: GPUs of a cluster's other machines, which their own exporter tells of (DCGM's).
"""

import shutil
import subprocess
from dataclasses import dataclass

MEBIBYTE = 2**20
SECONDS = 10
_ASKED = "index,name,utilization.gpu,memory.used,memory.total"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU."""

    index: str
    name: str
    utilization: float
    """Share of the last moment in which it computed, 0 to 1."""
    used_bytes: int
    total_bytes: int


def gpus() -> list[Gpu]:
    """What there is; nothing where the tool is not installed.

    Raises:
        RuntimeError: the tool failed or did not answer in time.
    """
    if not (tool := shutil.which("nvidia-smi")):
        return []
    command = [tool, f"--query-gpu={_ASKED}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"nvidia-smi did not answer in {SECONDS} s") from error
    if done.returncode:
        raise RuntimeError(f"nvidia-smi failed: {(done.stderr or done.stdout).strip()[:200]}")
    return [_gpu(line) for line in done.stdout.splitlines() if line.strip()]


def _gpu(line: str) -> Gpu:
    index, name, busy, used, total = (part.strip() for part in line.split(","))
    utilization = float(busy) / 100 if busy.replace(".", "").isdecimal() else 0.0
    return Gpu(index, name, utilization, int(used) * MEBIBYTE, int(total) * MEBIBYTE)
