"""Engines: where the data-parallel part of an asset is computed.

Here: the protocol of an engine and of what it is given to do. One file for each system implements
it. Not here: what is computed (platform_assets), parsing's own guarded processes
(resources/parsing), training (resources/training).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Batch = TypeVar("Batch")
Batch_contra = TypeVar("Batch_contra", contravariant=True)
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


class Task(Protocol[Batch_contra, Result_co]):
    """What is to be computed of each batch: a description that can be pickled."""

    @property
    def encodes(self) -> bool:
        """Whether it runs an encoder, which may use a share of a GPU."""
        ...

    def open(self, cores: int | None) -> Callable[[Batch_contra], Iterable[Result_co]]:
        """Load what the task needs; called once a worker.

        Args:
            cores: What the worker may keep busy; None is all that the machine has.

        Returns:
            A batch's results, computed as they are asked for.
        """
        ...


class Engine(Protocol):
    """Computes batches, on this machine or on many."""

    @property
    def parts(self) -> int:
        """Into how many batches a wave is cut, so that every worker has its share of it."""
        ...

    def map(
        self, task: Task[Batch, Result], batches: Iterable[Batch]
    ) -> Iterator[Iterable[Result]]:
        """The results of each batch, in the order of the batches.

        A few batches are computed ahead of the one that is asked for, and no more, whatever the
        consumer's speed. Where there is no batch, nothing is loaded.

        Raises:
            Exception: what the task raised; a worker that died is started again.
        """
        ...
