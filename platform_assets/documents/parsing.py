"""What is computed of a batch of objects: their bytes read and parsed; runs on any engine.

Here: the task. Not here: which objects, and what becomes of the outcomes (refresh.py).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from resources.object_store import ObjectStore
from resources.parsing import DocumentParser, ParsedDocument, Rejection

Listed = tuple[str, str]
"""Key of an object within its corpus, and the digest that the manifest has of it."""
Outcome = tuple[str, ParsedDocument | Rejection | None]
"""Key, and what came of it; None where the bytes are not those of the manifest any more."""


@dataclass(frozen=True, slots=True)
class Parse:
    """Objects in, outcomes out, one a key, as they come; implements `engines.Task`."""

    corpus: str
    lake: ObjectStore
    parser: DocumentParser
    encodes: bool = False

    def open(self, cores: int | None) -> Callable[[Sequence[Listed]], Iterable[Outcome]]:
        """The function of a batch; parsers are processes, which start with each."""

        def work(batch: Sequence[Listed]) -> Iterator[Outcome]:
            unsettled: list[str] = []
            for outcome in self.parser.parse(self._contents(batch, unsettled), cores):
                while unsettled:  # first, so that whoever counts knows how many are left
                    yield unsettled.pop(), None
                yield outcome
            yield from ((key, None) for key in unsettled)

        return work

    def _contents(
        self, batch: Sequence[Listed], unsettled: list[str]
    ) -> Iterator[tuple[str, bytes]]:
        for key, sha256 in batch:
            try:
                data = self.lake.get(f"{self.corpus}/{key}")
            except FileNotFoundError:
                data = b""
            if hashlib.sha256(data).hexdigest() == sha256:
                yield key, data
            else:
                unsettled.append(key)
