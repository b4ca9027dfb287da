"""Model hubs: where pretrained base models come from, and where checkpoints are published.

Here: the protocols; one file for each hub implements them.
Not here: checkpoints that Lakeloom trains (platform_assets/checkpoints keeps those in the lake).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PINNED = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{40})", re.ASCII)
"""How a recipe names a model of a hub: its content is settled by the name."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose model it is."""

    repo: str
    """owner/name at the Hugging Face hub."""
    licence: str
    """The hub's identifier of the licence that the model's card declares; `unknown` without."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is said of a model that is published."""

    base: str
    """owner/name of the base model."""
    licence: str
    tags: tuple[str, ...]
    text: str
    """Markdown."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where a model was published."""

    repo: str
    revision: str
    """Commit."""
    url: str


class ModelHub(Protocol):
    """Brings base models to local disk."""

    def fetch(self, model: str) -> Path:
        """Folder of the named model in sentence-transformers layout, verified by digest.

        Raises:
            LookupError: the hub has no such model; the message names what it has or what to set.
            ValueError: a file's digest differs from the pinned one, or the model is unsafe to read.
            PermissionError: the hub does not show the model to this user.
            ConnectionError: the hub does not answer.
        """
        ...

    def origin(self, model: str) -> Origin:
        """Whose the named model is.

        Raises:
            LookupError: the hub has no such model.
        """
        ...


class ModelPublisher(Protocol):
    """A hub that takes models."""

    def publish(
        self, folder: Path, repo: str, card: Callable[[str], ModelCard], *, private: bool
    ) -> Published:
        """Publish a folder as one commit; a folder that is there already is no new commit.

        Args:
            folder: A model in sentence-transformers layout.
            repo: owner/name; without an owner it is the token's own.
            card: The card of a repository, given its full name.
            private: Whether a repository that is created now is private.

        Raises:
            UsageError: this hub takes no models.
            ValueError: the folder is unsafe to read.
            PermissionError: the hub refuses the token.
            ConnectionError: the hub does not answer.
        """
        ...
