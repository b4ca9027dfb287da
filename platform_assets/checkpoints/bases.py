"""Base models, kept in the lake once they were brought, so that no hub is needed again.

Here: which checkpoint in the lake a pinned name stands for. Not here: hubs (resources/model_hub),
the checkpoints themselves (store.py).
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.provenance import PREFIX, canonical
from resources.model_hub import PINNED, ModelHub, Origin
from resources.object_store import ObjectStore


class _Kept(NamedTuple):
    checkpoint: str
    origin: Origin


class KeptModels:
    """A model hub before a model hub: asks the one behind it for each model once.

    Only a name that pins its content is kept; that of a package's model means what is installed.
    """

    def __init__(self, hub: ModelHub, lake: ObjectStore, store: CheckpointStore) -> None:
        self._hub = hub
        self._lake = lake
        self._store = store

    def fetch(self, model: str) -> Path:
        """Folder of the named model, verified against the digest it was kept with.

        Raises:
            LookupError: neither the lake nor the hub has such a model.
            ValueError: a file is not the one that is listed, or the model is unsafe to read.
            PermissionError: the hub does not show the model to this user.
            ConnectionError: the hub does not answer.
        """
        if PINNED.fullmatch(model) is None:
            return self._hub.fetch(model)
        return self._store.folder(self._kept(model).checkpoint)

    def origin(self, model: str) -> Origin:
        """Whose the named model is; raises as `fetch` does."""
        if PINNED.fullmatch(model) is None:
            return self._hub.origin(model)
        return self._kept(model).origin

    def _kept(self, model: str) -> _Kept:
        key = f"{PREFIX}/bases/{model}.json"
        try:
            kept = json.loads(self._lake.get(key))
        except FileNotFoundError:
            found = _Kept(self._store.put(self._hub.fetch(model)), self._hub.origin(model))
            kept = {"checkpoint": found.checkpoint, "origin": asdict(found.origin)}
            self._lake.put(key, canonical(kept).encode())
            return found
        return _Kept(kept["checkpoint"], Origin(**kept["origin"]))
