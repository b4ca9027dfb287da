"""How fast the code location loads, against Dagster with the integrations it deploys with.

    python -m tests.benchmarks.bench_definitions

Each sample is a process of its own; the two kinds take turns. Exits 1 above the ceiling. The base
leaves dagster_mlflow out, which would make it seconds slower: the platform imports it late.
"""

import statistics
import subprocess
import sys
import time

BASE = "import dagster, dagster_aws, dagster_k8s"
OURS = "import platform_assets.definitions"
SAMPLES = 5
CEILING = 1.5


def seconds(script: str) -> float:
    """Wall seconds of a process that runs `script`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", script], check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print and judge."""
    seconds(OURS)  # bytecode and disk caches
    seconds(BASE)
    pairs = [(seconds(BASE), seconds(OURS)) for _ in range(SAMPLES)]
    base, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{BASE:<44} {base:6.2f} s")
    print(f"{OURS:<44} {ours:6.2f} s")
    print(f"ratio {ours / base:.2f}, at most {CEILING} allowed")
    sys.exit(0 if ours / base <= CEILING else 1)


if __name__ == "__main__":
    main()
