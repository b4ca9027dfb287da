"""A protocol double of Kubernetes' pods: no cluster. Each pod's first container is a process here.

It knows creating, listing and deleting pods and following a log, checks nothing, schedules nothing
and starts the container's command without its image.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Pod:
    """A pod and the process that stands for its container."""

    body: dict[str, Any]
    process: subprocess.Popen[bytes]
    log: Path

    def described(self) -> dict[str, Any]:
        """The pod as the API server would tell it."""
        status = self.process.poll()
        now = datetime.now(UTC).isoformat()
        state: dict[str, Any] = {"running": {"startedAt": now}}
        if status is not None:
            reason = "Error" if status else "Completed"
            state = {"terminated": {"exitCode": status, "reason": reason, "finishedAt": now}}
        container = self.body["spec"]["containers"][0]
        seen = {"name": container["name"], "image": container["image"], "imageID": ""}
        seen |= {"ready": status is None, "restartCount": 0, "state": state}
        return {**self.body, "status": {"containerStatuses": [seen]}}


@dataclass
class Cluster:
    """What the double holds; `asked` keeps the body of every pod that was created."""

    folder: Path
    environment: Mapping[str, str]
    """What the config maps and secrets that containers refer to would give them."""
    pods: dict[str, Pod] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Start a pod's process."""
        name, container = body["metadata"]["name"], body["spec"]["containers"][0]
        own = {each["name"]: each["value"] for each in container["env"]}
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                container["command"],
                env={**self.environment, **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.asked.append(body)
        self.pods[name] = Pod(body, process, log)
        return self.pods[name].described()

    def selected(self, query: Mapping[str, list[str]]) -> list[Pod]:
        """Pods by the one name, or the labels, of a listing's selectors."""
        name = query.get("fieldSelector", [""])[0].removeprefix("metadata.name=")
        wanted = {tuple(each.split("=")) for each in query.get("labelSelector", [""])[0].split(",")}
        return [
            pod
            for pod in list(self.pods.values())
            if name in ("", pod.body["metadata"]["name"])
            and wanted <= {("",), *pod.body["metadata"].get("labels", {}).items()}
        ]

    def delete(self, name: str) -> dict[str, Any]:
        """End a pod's process."""
        pod = self.pods.pop(name)
        pod.process.kill()
        pod.process.wait()
        return pod.described()


class _Api(BaseHTTPRequestHandler):
    cluster: Cluster

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(self.cluster.create(body))

    def do_DELETE(self) -> None:
        self._answer(self.cluster.delete(urlsplit(self.path).path.rsplit("/", 1)[-1]))

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path.endswith("/log"):
            self._follow(self.cluster.pods[parts.path.split("/")[-2]])
            return
        found = [pod.described() for pod in self.cluster.selected(parse_qs(parts.query))]
        self._answer({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found})

    def _answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def _follow(self, pod: Pod) -> None:
        self.send_response(200)
        self.end_headers()
        with pod.log.open("rb") as log:
            while True:
                ended = pod.process.poll() is not None
                while line := log.readline():
                    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                    self.wfile.write(f"{stamp} ".encode() + line)
                if ended:
                    return
                time.sleep(0.1)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def kubernetes_double(folder: Path, environment: Mapping[str, str]) -> Iterator[Cluster]:
    """A running double, to which the configuration `folder/kubeconfig` leads."""
    cluster = Cluster(folder, environment)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Api", (_Api,), {"cluster": cluster}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    (folder / "kubeconfig").write_text(json.dumps(kubeconfig(address)))
    try:
        yield cluster
    finally:
        for name in list(cluster.pods):
            cluster.delete(name)
        server.shutdown()
        server.server_close()


def kubeconfig(address: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "double",
        "contexts": [{"name": "double", "context": {"cluster": "double", "user": "nobody"}}],
        "clusters": [{"name": "double", "cluster": {"server": address}}],
        "users": [{"name": "nobody", "user": {}}],
    }


def inherited() -> dict[str, str]:
    """What a container has from its image: where programs are."""
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": programs, "HOME": os.environ["HOME"]}
