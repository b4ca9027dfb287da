"""Settings: one environment variable a layer, a URL with a default that needs no server.

Here: reading the environment. Not here: opening anything (resources/registry.py does that).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

VARIABLES: dict[str, str] = {
    "lake": "LAKELOOM_LAKE",
    "catalog": "LAKELOOM_CATALOG",
    "vectors": "LAKELOOM_VECTORS",
    "tracking": "LAKELOOM_TRACKING",
    "engine": "LAKELOOM_ENGINE",
    "encoding": "LAKELOOM_ENCODING",
    "trainer": "LAKELOOM_TRAINER",
    "hub": "LAKELOOM_HUB",
    "events": "LAKELOOM_EVENTS",
    "classifier": "LAKELOOM_CLASSIFIER",
    "notify": "LAKELOOM_NOTIFY",
}
"""Layer -> environment variable that picks its system."""
POLLING_ONLY = "polling://"
"""No bucket events."""


class UsageError(ValueError):
    """What a command or the environment asks for makes no sense; says what to give or to set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the platform's state lies and which system serves each layer."""

    home: Path
    lake: str
    catalog: str
    vectors: str
    tracking: str
    engine: str
    encoding: str
    trainer: str
    hub: str
    events: str
    classifier: str
    notify: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Settings of this process; every variable has a default under `LAKELOOM_HOME`."""
        env = os.environ if env is None else env
        default_home = Path(__file__).resolve().parent.parent / ".lakeloom"
        home = Path(env.get("LAKELOOM_HOME") or default_home).expanduser().absolute()
        if unfit := sorted(set("#?%") & set(str(home))):
            raise UsageError(
                f"the folder {home} holds {' '.join(unfit)}, which mean something else in URLs: "
                "set LAKELOOM_HOME to another folder"
            )
        defaults = {
            "lake": f"file://{home}/lake",
            "catalog": f"sqlite:///{home}/catalog.db",
            "vectors": f"edge://{home}/vectors",
            "tracking": f"sqlite:///{home}/mlflow.db",
            "engine": "local://",
            "encoding": "openvino://",
            "trainer": "accelerate://",
            "hub": "package://",
            "events": POLLING_ONLY,
            "classifier": "keras://",
            "notify": "none://",
        }
        urls = {
            layer: env.get(variable) or defaults[layer] for layer, variable in VARIABLES.items()
        }
        return cls(home, **urls)

    @property
    def cache(self) -> Path:
        """Folder for what can be made again: downloaded checkpoints, unfinished trainings."""
        return self.home / "cache"

    @property
    def dagster_home(self) -> Path:
        """Folder of Dagster's own state, shared by the CLI, the UI and the daemon."""
        return self.home / "dagster"

    def local_places(self) -> dict[str, Path]:
        """Files and folders of this machine in which the platform's state lies, by layer.

        A layer on a server has none.
        """
        places = {"home": self.home}
        for layer in ("lake", "catalog", "vectors", "tracking"):
            parts = urlsplit(getattr(self, layer))
            if parts.scheme in LOCAL:
                places[layer] = Path(unquote(parts.path.removeprefix(LOCAL[parts.scheme])))
        return places


LOCAL = {"file": "", "edge": "", "sqlite": "/"}
"""Schemes of files on this machine -> what stands before the path."""


_PIP = ".venv/bin/pip install -c constraints.txt"
_ITS_OWN_WAY = {
    "decoder": "make decoder",
    "deepspeed": f"{_PIP} ninja py-cpuinfo setuptools wheel && "
    f"DS_BUILD_OPS=0 {_PIP} --no-build-isolation -e '.[deepspeed]'",
}
"""Extras that pip alone does not bring."""


def installing(extra: str) -> str:
    """What brings one of the optional dependencies, for errors: it is on no registry itself."""
    command = _ITS_OWN_WAY.get(extra, f"{_PIP} -e '.[{extra}]'")
    return f"`{command}` in Lakeloom's folder"


def require(what: str, extra: str, *modules: str) -> None:
    """See that the modules of an extra are there.

    Raises:
        UsageError: one is not; says what needs it and how to install it.
    """
    if missing := [module for module in modules if find_spec(module) is None]:
        raise UsageError(f"{what} needs {', '.join(missing)}: {installing(extra)}")


def redacted(url: str) -> str:
    """The URL without user, password and query, fit for logs and errors."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a password with a slash in it: what follows is not to be trusted
        return f"{parts.scheme}://..."
    return urlunsplit((parts.scheme, f"{host}:{port}" if port else host, parts.path, "", ""))
