"""The engine `ray://`: batches stream through a pool of Ray Data's actors.

    ray://?workers=2                          a Ray of this machine and of this process
    ray://head:6379?workers=16&cpus=2         a cluster that this machine belongs to
    ray://head:6379?workers=4&gpus=0.5        two encoders a GPU

Here: the pool, its bounds, and what its actors do. Not here: what is computed.

Actors load a task once and are told the batches, not their content: each reads its own from the
lake and the tables. So the driver's work is the commits, and a machine of the cluster needs
Lakeloom, its variables for the lake, and a catalog that it can reach.
"""

import hashlib
import logging
import os
import pickle
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from resources.digests import sha256_file
from resources.engines import Batch, Result, Task
from resources.settings import require
from resources.training.engine_url import EngineOptions

PARTS_A_WORKER = 2
"""Batches of a wave for each worker, so that a slow one holds up little."""
RESTARTS = 3
"""Of a worker that dies, and of its batch; Ray Data's own default is without end."""
STREAM_SHARE = 0.5
"""Of the object store, for what was computed and is not taken yet."""


class RayEngine(EngineOptions):
    """A pool of actors; one that dies is started again (`RESTARTS`), its batch computed again."""

    address: str = ""
    """Host and port of the cluster's head; empty for a Ray of this machine and process."""
    workers: PositiveInt = 2
    cpus: PositiveFloat = 1.0
    """Cores of a worker."""
    gpus: NonNegativeFloat = 0.0
    """GPUs, or a share of one, of a worker that encodes."""
    object_store_mb: PositiveInt = 512
    """Memory for what is computed ahead: of Ray's object store, in a Ray of this process."""

    @property
    def parts(self) -> int:
        """Into how many batches a wave is cut."""
        return PARTS_A_WORKER * self.workers

    def map(
        self, task: Task[Batch, Result], batches: Iterable[Batch]
    ) -> Iterator[Iterable[Result]]:
        """The results of each batch, computed ahead as far as the object store has room.

        Raises:
            UsageError: Ray is not installed.
            ConnectionError: no cluster answers at the address.
            RuntimeError: a machine of the cluster has other code than this one.
            Exception: what the task raised.
        """
        described = [pickle.dumps(batch) for batch in batches]
        if not described:
            return
        require("the engine ray://", "ray", "ray")
        self._join()
        for row in self._stream(task, described).iter_rows():
            fault, results = _loads(row["results"])
            if fault:
                raise fault
            yield results

    def _join(self) -> None:
        """Start a Ray of this process, or join the cluster, unless that was done."""
        import ray

        if ray.is_initialized():
            return
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        quiet = {"log_to_driver": False, "logging_level": logging.WARNING}
        if self.address:
            ray.init(address=self.address, **quiet)
            return
        ray.init(
            **quiet,
            num_cpus=ceil(self.workers * self.cpus),
            object_store_memory=self.object_store_mb << 20,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
        )

    def _stream(self, task: Task[Batch, Result], described: Sequence[bytes]) -> Any:
        import ray.data
        from ray import cloudpickle
        from ray.data import ExecutionResources

        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        room = STREAM_SHARE * (self.object_store_mb << 20)
        context.execution_options.resource_limits = ExecutionResources.for_limits(
            object_store_memory=room
        )
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        rows = ray.data.from_items(
            [{"batch": each} for each in described], override_num_blocks=len(described)
        )
        return rows.map_batches(
            _Worker,
            fn_constructor_args=(cloudpickle.dumps(task), ceil(self.cpus), code_digest()),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(self.workers, len(described))),
            num_cpus=self.cpus,
            num_gpus=self.gpus if task.encodes else 0,
            max_restarts=RESTARTS,
            max_task_retries=RESTARTS,
        )


class _Worker:
    """An actor: a task, loaded once, and batches of it."""

    def __init__(self, task: bytes, cores: int, code: str) -> None:
        self._task, self._cores, self._code = task, cores, code

    def __call__(self, rows: Mapping[str, Sequence[bytes]]) -> dict[str, Any]:
        """The results of the batches, in the form that Ray Data hands on."""
        answers = [self._answer(batch) for batch in rows["batch"]]
        return {"results": np.array(answers, dtype=object)}

    def _answer(self, batch: bytes) -> bytes:
        """A fault and results, one of them: Ray would wrap what is raised in errors of its own."""
        from ray import cloudpickle

        try:
            answer: bytes = cloudpickle.dumps((None, list(self._work(_loads(batch)))))
        except Exception as error:  # noqa: BLE001 - it is raised where the results are asked for
            try:
                answer = cloudpickle.dumps((error, ()))
                _loads(answer)
            except Exception:  # noqa: BLE001 - some errors cannot be sent
                answer = pickle.dumps((RuntimeError(f"{type(error).__name__}: {error}"), ()))
        return answer

    @cached_property
    def _work(self) -> Any:
        if code_digest() != self._code:
            raise RuntimeError(
                f"{platform.node()} of the Ray cluster has other code of Lakeloom than the run: "
                "install the same version on both"
            )
        return _loads(self._task).open(self._cores)


@cache
def code_digest() -> str:
    """Digest of the code that tasks may run, which tells versions apart by their commits too."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for package in ("platform_assets", "resources"):
        for file in sorted((root / package).rglob("*.py")):
            digest.update(f"{file.relative_to(root)} {sha256_file(file)}\n".encode())
    return digest.hexdigest()


def _loads(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301 - written by another process of this run
