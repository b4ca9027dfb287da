"""A protocol double of the Hugging Face hub: its HTTP API, as the hub's own client speaks it.

Here: repositories in memory, tokens, commits, large files behind a redirect to another host.
Not a hub: no Xet, no pull requests, no search; only `main` and commits are revisions.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.servers import free_ports

OWNER, TOKEN, EXPIRED = "weaver", "hf_planted_token", "hf_planted_expired"
LARGE = re.compile(r"\.(safetensors|bin|pt|pkl|model)$")
Files = Mapping[str, bytes]
Headers = Mapping[str, str]


@dataclass
class Repository:
    """Commits, the last one first in line; each is all its files."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    def commit(self, files: Files) -> str:
        blobs = {name: hashlib.sha1(data).hexdigest() for name, data in files.items()}
        oid = hashlib.sha1(json.dumps([len(self.commits), blobs]).encode()).hexdigest()
        self.commits[oid] = dict(files)
        return oid


class HubDouble:
    """The double's state, and what a test changes of it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.calls: list[tuple[str, str, str | None]] = []
        """Method, path and authorization of every call."""
        self.corrupted: set[str] = set()
        """Files that are sent with a byte changed."""

    def put(self, repo: str, files: Files, **options: bool) -> str:
        """Put a commit into a repository; returns `repo@commit`, as a recipe names it."""
        found = self.repositories.setdefault(repo, Repository())
        found.private, found.gated = options.get("private", False), options.get("gated", False)
        return f"{repo}@{found.commit(files)}"

    def files(self, repo: str) -> dict[str, bytes]:
        """Files of the last commit."""
        found = self.repositories[repo]
        return found.commits[found.head]


@contextmanager
def hub_double(port: int) -> Iterator[HubDouble]:
    """A running double, empty. It keeps no connection, so once stopped it answers nobody."""
    hub = HubDouble(port)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def named_hub(patch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """A running double that the environment names, for an unmodified client."""
    with hub_double(*free_ports(1)) as hub:
        patch.setenv("HF_ENDPOINT", hub.url)
        patch.setenv("HF_HUB_DISABLE_XET", "1")
        patch.setenv("LAKELOOM_HUB", "huggingface://")
        patch.delenv("HF_TOKEN", raising=False)
        # The client reads its environment when it is first imported, in whatever test that was.
        urls = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        patch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", urls)
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield hub


class _RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    hub: HubDouble

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.calls.append((self.command, path, self.headers.get("Authorization")))
        try:
            self.route(f"{self.command} {path}", body)
        except _RefusedError as error:
            headers = {"X-Error-Code": error.code, "X-Error-Message": str(error)}
            self.send(b"{}", error.status, headers)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def route(self, call: str, body: bytes) -> None:
        for pattern, answer in _ROUTES:
            if found := pattern.fullmatch(call):
                answer(self, body, **found.groupdict())
                return
        raise _RefusedError(404, "NotFound", "no such call")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def send(self, data: bytes, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_json(self, answer: Any, status: int = 200) -> None:
        self.send(json.dumps(answer).encode(), status, {"Content-Type": "application/json"})

    def user(self) -> str | None:
        """Who calls; an expired token is refused wherever it is shown."""
        given = self.headers.get("Authorization")
        if given not in (None, f"Bearer {TOKEN}"):
            raise _RefusedError(401, "", "Invalid credentials in Authorization header")
        return OWNER if given else None

    def writer(self) -> str:
        if (user := self.user()) is None:
            raise _RefusedError(401, "", "Invalid username or password.")
        return user

    def repository(self, repo: str) -> Repository:
        user = self.user()
        found = self.hub.repositories.get(repo)
        if found is None or (found.private and user is None):
            raise _RefusedError(404 if user else 401, "RepoNotFound", "Repository not found")
        if found.gated and user is None:
            raise _RefusedError(403, "GatedRepo", "Access to this model is restricted")
        return found

    def tree(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]]:
        found = self.repository(repo)
        commit = found.head if revision == "main" else revision
        if commit not in found.commits:
            raise _RefusedError(404, "RevisionNotFound", "Invalid rev id")
        return commit, found.commits[commit]

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        repo = f"{asked['organization'] or self.writer()}/{asked['name']}"
        if not repo.startswith(f"{self.writer()}/"):
            raise _RefusedError(403, "", "You don't have the rights to create a model there")
        there = repo in self.hub.repositories
        if not there:
            found = self.hub.repositories[repo] = Repository(asked.get("visibility") == "private")
            found.commit({".gitattributes": b""})
        self.send_json({"url": f"{self.hub.url}/{repo}"}, 409 if there else 200)

    def info(self, _: bytes, repo: str, revision: str = "main") -> None:
        commit, files = self.tree(repo, revision or "main")
        siblings = [{"rfilename": name} for name in files]
        found = {"id": repo, "sha": commit, "siblings": siblings, "tags": []}
        self.send_json(found | {"private": self.hub.repositories[repo].private})

    def listing(self, _: bytes, repo: str, revision: str, folder: str | None) -> None:
        files = self.tree(repo, revision)[1].items()
        below = f"{folder}/" if folder else ""
        found = [_entry(name, data) for name, data in files if name.startswith(below)]
        if folder and not found:
            raise _RefusedError(404, "EntryNotFound", "no such folder")
        self.send_json(found)

    def resolve(self, _: bytes, repo: str, revision: str, name: str) -> None:
        commit, files = self.tree(repo, revision)
        headers = {"X-Repo-Commit": commit}
        if name not in files:
            raise _RefusedError(404, "EntryNotFound", "Entry not found")
        data = files[name]
        if LARGE.search(name):
            oid = hashlib.sha256(data).hexdigest()
            self.hub.large[oid] = data[:-1] + b"!" if name in self.hub.corrupted else data
            away = self.hub.url.replace("127.0.0.1", "localhost")
            linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(data))}
            self.send(b"", 302, headers | linked | {"Location": f"{away}/cdn/{oid}"})
        else:
            data = data[:-1] + b"!" if name in self.hub.corrupted else data
            self.send(data, headers=headers | {"ETag": f'"{_blob(files[name])}"'})

    def cdn(self, _: bytes, oid: str) -> None:
        self.send(self.hub.large[oid])

    def preupload(self, body: bytes, repo: str) -> None:
        self.writer()
        there = self.tree(repo, "main")[1]
        self.send_json(
            {"files": [_mode(file["path"], there) for file in json.loads(body)["files"]]}
        )

    def batch(self, body: bytes, repo: str) -> None:
        self.writer()
        self.repository(repo)
        objects = [self._upload(asked) for asked in json.loads(body)["objects"]]
        self.send_json({"transfer": "basic", "objects": objects})

    def _upload(self, asked: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.hub.url}/upload/{asked['oid']}"}
        known = asked["oid"] in self.hub.large
        return asked if known else asked | {"actions": {"upload": upload}}

    def upload(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            raise _RefusedError(400, "", "not the object that was announced")
        self.hub.large[oid] = body
        self.send(b"")

    def commit(self, body: bytes, repo: str) -> None:
        self.writer()
        files = dict(self.tree(repo, "main")[1])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        oid = self.hub.repositories[repo].commit(files)
        self.send_json({"commitUrl": f"{self.hub.url}/{repo}/commit/{oid}", "commitOid": oid})

    def validate(self, body: bytes) -> None:
        content = json.loads(body)["content"]
        if not content.startswith("---\n"):
            raise _RefusedError(400, "", "the card has no metadata")
        self.send_json({"errors": [], "warnings": []})

    def harnesses(self, _: bytes) -> None:
        self.send_json({})


def _blob(data: bytes) -> str:
    """git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data)).hexdigest()


def _entry(name: str, data: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": name, "size": len(data), "oid": _blob(data)}
    if LARGE.search(name):
        sha256 = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 134}
    return entry


def _mode(name: str, there: Files) -> dict[str, Any]:
    large = bool(LARGE.search(name))
    known = there.get(name)
    named = hashlib.sha256(known or b"").hexdigest() if large else _blob(known or b"")
    return {
        "path": name,
        "uploadMode": "lfs" if large else "regular",
        "shouldIgnore": False,
        "oid": None if known is None else named,
    }


_REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
_ROUTES = [
    (re.compile(pattern), answer)
    for pattern, answer in (
        (r"POST /api/repos/create", _Handler.create),
        (r"POST /api/validate-yaml", _Handler.validate),
        (r"GET /api/agent-harnesses", _Handler.harnesses),
        (rf"GET /api/models/{_REPO}(/revision/(?P<revision>\w+))?", _Handler.info),
        (
            rf"GET /api/models/{_REPO}/tree/(?P<revision>\w+)(/(?P<folder>.+))?",
            _Handler.listing,
        ),
        (rf"POST /api/models/{_REPO}/preupload/main", _Handler.preupload),
        (rf"POST /{_REPO}\.git/info/lfs/objects/batch", _Handler.batch),
        (r"PUT /upload/(?P<oid>\w+)", _Handler.upload),
        (rf"POST /api/models/{_REPO}/commit/main", _Handler.commit),
        (rf"(GET|HEAD) /{_REPO}/resolve/(?P<revision>\w+)/(?P<name>.+)", _Handler.resolve),
        (r"(GET|HEAD) /cdn/(?P<oid>\w+)", _Handler.cdn),
    )
]
