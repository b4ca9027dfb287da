"""Encoder recipes: which base model, and how it is trained, if it is.

Here: reading and checking recipes.toml. Not here: the training itself (resources/training).
"""

import json
import re
import tomllib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from platform_assets.provenance import canonical, sha256_text
from platform_assets.queries import NEGATIVES
from resources.model_hub import PINNED
from resources.registry import check_engine
from resources.training import Resources
from resources.training.hyperparameters import Hyperparameters

RECIPES = Path(__file__).with_name("recipes.toml")
_R = TypeVar("_R", bound=BaseModel)

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)]


def _pinned(base: str) -> str:
    if PINNED.fullmatch(base) or re.fullmatch(r"[\w.-]+", base, re.ASCII):
        return base
    raise ValueError(
        "name a model that a package carries, or pin one of a hub: owner/name@ and the 40 hex "
        "digits of a commit"
    )


Base = Annotated[str, AfterValidator(_pinned)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _known_engine(url: str) -> str:
    check_engine(url)
    return url


class Where(BaseModel):
    """Where a training runs; nothing that comes of it depends on that."""

    engine: Annotated[str, AfterValidator(_known_engine)] | None = None
    """URL of the engine, in place of the one of LAKELOOM_TRAINER."""
    resources: Resources = Resources()


WHERE = frozenset(Where.model_fields)
"""Fields that are no part of a recipe's digest."""


def _all_or_list(corpora: object) -> object:
    if isinstance(corpora, str) and corpora != "all":
        raise ValueError(f'write "all", or a list of corpora: [{json.dumps(corpora)}]')
    return corpora


class Training(Hyperparameters, Where):
    """How a base model is trained on pairs of query and passage."""

    corpora: Annotated[
        Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1, strict=False)],
        BeforeValidator(_all_or_list),
    ] = "all"
    """Corpora whose training-split pairs are used."""
    negatives: Annotated[int, Field(ge=0, le=NEGATIVES)]
    """Mined hard negatives a pair; with 0, the other pairs of a batch alone."""
    min_pairs: PositiveInt
    """With fewer pairs there is no training, and the checkpoint is the base model unchanged."""

    @model_validator(mode="after")
    def _has_something_to_tell_apart(self) -> Self:
        if self.batch_size == 1 and not self.negatives:
            raise ValueError(
                "batch_size = 1 with negatives = 0 gives a query nothing but its answer to choose "
                "from: raise either"
            )
        return self

    def fault(self, known: AbstractSet[str]) -> str | None:
        """What is wrong with the corpora it names, given those there are."""
        unknown = [] if self.corpora == "all" else sorted(set(self.corpora) - known)
        return (
            f"recipes.toml names no corpus of this lake: {', '.join(unknown)}" if unknown else None
        )

    def hyperparameters(self) -> dict[str, Any]:
        """What the training worker is told."""
        names = set(Hyperparameters.model_fields)
        return self.model_dump(mode="json", include=names, exclude_none=True)


class Recipe(_Frozen):
    """One encoder; equal recipes on equal pairs give equal checkpoints."""

    name: Slug
    base: Base
    """The base model: one that a package carries by its name, one of a hub as owner/name@ and the
    40 hex digits of a commit."""
    training: Training | None = None
    """None: the checkpoint is the base model itself."""

    @property
    def digest(self) -> str:
        """sha256 (hex) of the recipe's canonical JSON."""
        return sha256_text(canonical(self.what()))

    def what(self) -> dict[str, Any]:
        """The recipe without where it is trained: that decides nothing, and names machines."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"training": set(WHERE)})


def load_recipes(path: Path | None = None) -> dict[str, Recipe]:
    """Read recipes from a TOML file with one table a recipe, by default recipes.toml here.

    Raises:
        ValueError: the file is no TOML, or a recipe is wrong; names the recipe and the field.
    """
    return read_recipes(path or RECIPES, Recipe)


def read_recipes(path: Path, kind: type[_R]) -> dict[str, _R]:
    """Read a TOML file with one table a recipe of some kind; raises like `load_recipes`."""
    try:
        tables = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return {name: _recipe(path, name, table, kind) for name, table in tables.items()}


def _recipe(path: Path, name: str, table: object, kind: type[_R]) -> _R:
    if not isinstance(table, Mapping) or "name" in table:
        raise ValueError(f"{path.name}: {name!r}: a recipe is a table, and its heading is its name")
    try:
        return kind.model_validate({**table, "name": name})
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'])) or 'recipe'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ValueError(f"{path.name}: recipe {name!r}: {'; '.join(faults)}") from error
