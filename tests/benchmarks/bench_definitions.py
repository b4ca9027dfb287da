"""How fast the code location loads, against `import dagster` and the integrations it deploys with.

    python -m tests.benchmarks.bench_definitions

Each sample is a process of its own; the kinds take turns. Exits 1 where the definitions take more
than `CEILING` times the seconds of Dagster with its AWS and Kubernetes integrations. That base is
without dagster_mlflow, seconds more: the platform imports all three where they are used.
"""

import statistics
import subprocess
import sys
import time

DAGSTER = "import dagster"
INTEGRATIONS = "import dagster, dagster_aws, dagster_k8s"
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
    scripts = (DAGSTER, INTEGRATIONS, OURS)
    for script in scripts:  # bytecode and disk caches
        seconds(script)
    samples = [[seconds(script) for script in scripts] for _ in range(SAMPLES)]
    medians = [statistics.median(column) for column in zip(*samples, strict=True)]
    for script, median in zip(scripts, medians, strict=True):
        print(f"{median:6.2f} s  {median / medians[0]:5.2f} times dagster  {script}")
    ratio = medians[2] / medians[1]
    print(f"definitions / integrations: {ratio:.2f}, at most {CEILING} allowed")
    sys.exit(0 if ratio <= CEILING else 1)


if __name__ == "__main__":
    main()
