"""What deploy/access/minio.sh asks of MinIO, taken down by a double of its client `mc`.

MinIO and mc are not to be had here. Not here: a server; the policies are tried on SeaweedFS.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().parents[2] / "deploy/access/minio.sh"
BUCKETS = {"BUCKET": "lake", "LOGS_BUCKET": "logs", "MLFLOW_BUCKET": "mlflow"}
KINDS = ("runner", "sensor", "dagster", "reader", "mlflow")
KEYS = {
    name: value
    for kind in KINDS
    for name, value in (
        (f"{kind.upper()}_ID", f"lakeloom-{kind}"),
        (f"{kind.upper()}_KEY", f"planted-{kind}-key"),
    )
}
MC = """#!/bin/sh
for word; do printf '%s\\037' "$word"; done >> "$CALLS"
echo >> "$CALLS"
[ "$3" != "${MC_FAILS_AT:-}" ] || { echo "mc: <ERROR> $MC_SAYS" >&2; exit 1; }
"""
ALREADY = "The specified policy change is already in effect."
"""mc's words for a user who has the policy."""


@dataclass
class Asked:
    """Buckets, policies by name, users' keys and policies, and how the script ended."""

    ended: subprocess.CompletedProcess[str]
    buckets: list[str] = field(default_factory=list)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    attached: dict[str, list[str]] = field(default_factory=dict)


def asked(folder: Path, more: Mapping[str, str] | None = None) -> Asked:
    """Run the script; `more` are further variables, MC_FAILS_AT and MC_SAYS for errors of mc."""
    (folder / "mc").write_text(MC)
    (folder / "mc").chmod(0o755)
    calls = folder / "calls"
    calls.write_text("")
    path = f"{folder}:{os.environ['PATH']}"
    env = {"PATH": path, "TMPDIR": str(folder), "CALLS": str(calls), **BUCKETS, **KEYS}
    command = ["sh", str(SCRIPT)]
    ended = subprocess.run(
        command, env={**env, **(more or {})}, capture_output=True, text=True, check=False
    )
    found = Asked(ended)
    for line in calls.read_text().splitlines():
        _take(found, line.split("\x1f")[:-1])
    return found


def _take(found: Asked, words: list[str]) -> None:
    match words:
        case ["mb", "--ignore-existing", *names]:
            found.buckets += [name.removeprefix("lake/") for name in names]
        case ["admin", "policy", "create", "lake", name, file]:
            found.policies[name] = json.loads(Path(file).read_text())
        case ["admin", "user", "add", "lake", name, key]:
            found.keys[name] = key
        case ["admin", "policy", "attach", "lake", name, "--user", user]:
            found.attached.setdefault(user, []).append(name)
        case _:
            raise AssertionError(f"mc knows no {words}")
