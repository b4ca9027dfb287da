"""The demo corpora: real documents that every installation has, so that none is downloaded.

Here: drafting them from the environment. `packages` has the READMEs of the installed
distributions, asked for by their authors' one-line summaries; `stdlib` has pydoc's HTML pages of
the standard library, asked for by the first sentences of docstrings.
Not here: keeping the evaluation fair (judged.py), bringing a folder into the lake (ingest).
"""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory

from platform_assets.queries import digest
from platform_assets.raw_objects.judged import Draft, write_judged

_SUFFIXES = {"text/markdown": ".md", "text/plain": ".txt"}
_TIMEOUT_SECONDS = 120
_MEMBERS = 3
"""Most sentences of a standard module that describe one of its classes or functions."""


def write_packages(target: Path) -> int:
    """Write the READMEs of the installed distributions and judged queries; returns their number.

    Distributions without a README, or with one of more than 20,000 characters of plain text, are
    left out. See `write_judged` for the files and the errors.
    """
    return write_judged(_packages(), target)


def write_stdlib(target: Path) -> int:
    """Write pydoc's pages of the standard library and judged queries; returns their number.

    Modules that cannot be imported here, and pages of more than 20,000 characters of plain text,
    are left out. See `write_judged` for the files and the errors.

    Raises:
        RuntimeError: the process that imports the modules failed.
        subprocess.TimeoutExpired: it took more than two minutes.
    """
    return write_judged(_stdlib(), target)


def _packages() -> Iterator[Draft]:
    folders = dict.fromkeys(sysconfig.get_paths()[name] for name in ("purelib", "platlib"))
    seen: set[str] = set()
    for distribution in distributions(path=list(folders)):
        about = distribution.metadata.json
        name = str(about["name"]).lower()
        media_type = str(about.get("description_content_type", "")).partition(";")[0].strip()
        # No media type means reStructuredText, as in the core metadata specification.
        key = name + _SUFFIXES.get(media_type, ".rst")
        if name not in seen:
            seen.add(name)
            text = "\n".join(str(about.get("description", "")).splitlines())
            yield Draft(key, text, (str(about.get("summary", "")),))


def _stdlib() -> Iterator[Draft]:
    script = Path(__file__).with_name("pydoc_pages.py")
    with TemporaryDirectory() as empty:
        done = subprocess.run(
            [sys.executable, "-P", "-s", "-S", "-B", "-W", "ignore", str(script)],
            check=False,
            capture_output=True,
            cwd=empty,
            env={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_SECONDS,
        )
    if done.returncode:
        raise RuntimeError(f"pydoc failed: {done.stderr.decode(errors='replace')[-2000:]}")
    for line in done.stdout.splitlines():
        row = json.loads(line)
        members = sorted(row["members"], key=lambda text: digest(row["module"], text))
        yield Draft(f"{row['module']}.html", row["page"], (row["summary"], *members[:_MEMBERS]))
