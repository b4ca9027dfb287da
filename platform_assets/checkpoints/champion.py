"""What the champion was measured at when it became one, kept in the lake.

Here: reading and writing it. An encoder that is trained anew, or whose recipe goes, has no other
figures of the version that the alias still points at.
Not here: the alias (resources/tracking), who becomes champion (promotion.py).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from platform_assets.provenance import PREFIX, canonical
from resources.object_store import ObjectStore

KEY = f"{PREFIX}/champion.json"


@dataclass(frozen=True, slots=True)
class Champion:
    """A version of an encoder, and its nDCG@10 on each test query (`corpus/query`)."""

    encoder: str
    version: str
    scores: Mapping[str, float]
    """By dense retrieval, which is the encoder's alone."""
    hybrid: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """As people read it."""
        return f"{self.encoder} v{self.version}"


def recorded(lake: ObjectStore) -> Champion | None:
    """The champion that the gate chose last."""
    try:
        return Champion(**json.loads(lake.get(KEY)))
    except FileNotFoundError:
        return None


def record(lake: ObjectStore, champion: Champion) -> None:
    """Keep what a champion was measured at."""
    lake.put(KEY, canonical(asdict(champion)).encode())
