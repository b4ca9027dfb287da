"""A double of Kubernetes' jobs: no cluster. Each job is one real container, by podman and runc.

It knows what dagster-k8s asks of a job: create, tell the status, list its pod, delete. The image,
arguments, environment, security context and empty volumes of the pod hold; requests, limits,
placement and admission mean nothing, and the network is this machine's.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.kubernetes_double import kubeconfig
from tests.servers.podman import podman


@dataclass
class Jobs:
    """What the double holds: job name -> body."""

    folder: Path
    environment: Mapping[str, str]
    """What the config maps and secrets that containers refer to would give them."""
    lent: tuple[str, ...]
    """Files that every container sees at the same place: the double's own address."""
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Start a job's container."""
        name = body["metadata"]["name"]
        podman(*self._command(name, body["spec"]["template"]["spec"]))
        self.asked[name] = body  # from now on there is a container to kill
        return self.described(name)

    def described(self, name: str) -> dict[str, Any]:
        """The job as the API server would tell it."""
        state = self._state(name)
        ended = not state["Running"]
        count = {"active": 0 if ended else 1}
        if ended:
            count["failed" if state["ExitCode"] else "succeeded"] = 1
        return {**self.asked[name], "status": count}

    def pod(self, name: str) -> dict[str, Any]:
        """A job's one pod."""
        state = self._state(name)
        template = self.asked[name]["spec"]["template"]
        phase = "Running" if state["Running"] else "Failed" if state["ExitCode"] else "Succeeded"
        metadata = {**template["metadata"], "name": name}
        return {"metadata": metadata, "spec": template["spec"], "status": {"phase": phase}}

    def kill(self, name: str) -> None:
        """What the loss of a node does to a container."""
        podman("kill", "--signal=KILL", name)

    def log(self, name: str) -> str:
        """What a container said."""
        return podman("logs", name)

    def remove(self, name: str) -> dict[str, Any]:
        """End a job and its container."""
        podman("rm", "--force", "--time=0", name)
        return self.asked.pop(name)

    def _state(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(podman("inspect", name))[0]["State"]
        return found

    def _command(self, name: str, pod: dict[str, Any]) -> Iterator[str]:
        (container,) = pod["containers"]
        own = {each["name"]: each["value"] for each in container["env"] if "value" in each}
        user = pod["securityContext"]
        yield from ("run", "--detach", f"--name={name}", "--tmpfs=/run")
        yield f"--user={user['runAsUser']}:{user['runAsGroup']}"
        if container["securityContext"]["readOnlyRootFilesystem"]:
            yield from ("--read-only", "--read-only-tmpfs=false")
        for dropped in container["securityContext"]["capabilities"]["drop"]:
            yield f"--cap-drop={dropped}"
        for variable, value in {**self.environment, **own}.items():
            yield f"--env={variable}={value}"
        for mount in container["volumeMounts"]:
            empty = self.folder / name / mount["name"]
            empty.mkdir(parents=True)
            empty.chmod(0o777)
            yield f"--volume={empty}:{mount['mountPath']}"
        yield from (f"--volume={file}:{file}:ro" for file in self.lent)
        yield container["image"]
        yield from [*container.get("command", []), *container.get("args", [])]


class _Api(BaseHTTPRequestHandler):
    jobs: Jobs

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(self.jobs.create(body))

    def do_DELETE(self) -> None:
        self._of_one(self.jobs.remove)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        kind = parts.path.split("/namespaces/")[1].split("/")[1]
        if kind == "jobs" and not parts.path.endswith("/jobs"):
            self._of_one(self.jobs.described)
            return
        wanted = parse_qs(parts.query).get("labelSelector", [""])[0].removeprefix("job-name=")
        pods = [self.jobs.pod(name) for name in self.jobs.asked if name == wanted]
        items = {"pods": pods, "events": []}[kind]
        self._answer({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})

    def _of_one(self, do: Any) -> None:
        name = urlsplit(self.path).path.removesuffix("/status").rsplit("/", 1)[-1]
        if name in self.jobs.asked:
            self._answer(do(name))
        else:
            self.send_error(404)

    def _answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def jobs_on_podman(folder: Path, environment: Mapping[str, str]) -> Iterator[Jobs]:
    """A running double, to which the configuration `folder/kubeconfig` leads."""
    file = folder / "kubeconfig"
    jobs = Jobs(folder, environment, (str(file),))
    with serving(jobs, file):
        yield jobs


@contextmanager
def serving(jobs: Jobs, file: Path) -> Iterator[None]:
    """The API over some jobs, to which the configuration `file` leads."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Api", (_Api,), {"jobs": jobs}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.server_address[1]}")))
    file.chmod(0o644)
    try:
        yield
    finally:
        for name in list(jobs.asked):
            jobs.remove(name)
        server.shutdown()
        server.server_close()
