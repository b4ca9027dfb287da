"""The engine `local://`: batches are computed here, one after the other, when they are asked for.

Tasks use all cores by themselves: parsing has processes, tokenizers and encoders have threads.
Not here: many machines (ray.py).
"""

from collections.abc import Callable, Iterable, Iterator

from resources.engines import Batch, Result, Task


class LocalEngine:
    """This process."""

    parts = 1

    def map(
        self, task: Task[Batch, Result], batches: Iterable[Batch]
    ) -> Iterator[Iterable[Result]]:
        """The results of each batch."""
        work: Callable[[Batch], Iterable[Result]] | None = None
        for batch in batches:
            work = work or task.open(None)
            yield work(batch)
