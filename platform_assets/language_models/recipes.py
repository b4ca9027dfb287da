"""Recipes of language models: base model, corpora, low-rank updates, steps.

Here: reading and checking recipes.toml. Not here: the training (resources/training/causal).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from platform_assets.checkpoints.recipes import WHERE, Slug, Where, read_recipes
from platform_assets.provenance import canonical, sha256_text
from resources.training.causal import CausalHyperparameters

RECIPES = Path(__file__).with_name("recipes.toml")


class LanguageModel(CausalHyperparameters, Where):
    """One tuned decoder; equal recipes on equal texts give equal adapters, but for rounding."""

    name: Slug
    corpora: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1, strict=False)] = "all"
    """Corpora whose training-split documents are learned."""

    @property
    def digest(self) -> str:
        """sha256 (hex) of the recipe's canonical JSON; where it is trained is no part of it."""
        what = self.model_dump(mode="json", exclude_none=True, exclude=set(WHERE))
        return sha256_text(canonical(what))

    def hyperparameters(self) -> dict[str, Any]:
        """What the training worker is told."""
        names = set(CausalHyperparameters.model_fields)
        return self.model_dump(mode="json", include=names, exclude_none=True)

    def wants(self, corpus: str) -> bool:
        """Whether it is trained on a corpus."""
        return self.corpora == "all" or corpus in self.corpora


def load_language_models(path: Path | None = None) -> dict[str, LanguageModel]:
    """Read recipes from a TOML file with one table a recipe, by default recipes.toml here.

    Raises:
        ValueError: the file is no TOML, or a recipe is wrong; names the recipe and the field.
    """
    return read_recipes(path or RECIPES, LanguageModel)
