"""`lakeloom push`: a checkpoint to a model hub, with its card."""

from typing import Any

from platform_assets.checkpoints.card import model_card
from platform_assets.checkpoints.promotion import measured
from platform_assets.checkpoints.recipes import Recipe, load_recipes
from platform_assets.checkpoints.refresh import wants
from platform_assets.commands.state import State
from platform_assets.evaluation.refresh import Quality, qualities
from platform_assets.partitions import corpus_and_encoder
from platform_assets.provenance import Record
from resources import registry
from resources.model_hub import ModelCard


def push(state: State, encoder: str, repo: str, *, private: bool) -> dict[str, Any]:
    """Publish the checkpoint there is.

    Args:
        state: What to work on.
        encoder: Which recipe's checkpoint.
        repo: owner/name; without an owner it is the token's own.
        private: Whether a repository that is created now is private.

    Raises:
        UsageError: the hub in the settings takes no models.
        LookupError: the encoder was never materialised, or by another recipe than today's.
        PermissionError: the hub refuses the token.
        ConnectionError: the hub does not answer.
    """
    publisher = registry.connect_publisher(state.settings)
    recipe, checkpoint = load_recipes()[encoder], state.ledger.require("checkpoints", encoder)
    if checkpoint.details["recipe"] != recipe.digest:
        raise LookupError(
            f"the checkpoint of {encoder} was made by an earlier recipe: first `lakeloom "
            f"materialize --encoder {encoder} --select key:checkpoints`"
        )
    chain = state.ledger.chain(learned_from(recipe, checkpoint))
    found = _qualities(state, checkpoint)
    origin = state.hub.origin(recipe.base)

    def card(full: str) -> ModelCard:
        return model_card(full, recipe, checkpoint, chain.values(), found, origin)

    folder = state.checkpoints.folder(checkpoint.details["checkpoint"])
    published = publisher.publish(folder, repo, card, private=private)
    return {"repo": published.repo, "revision": published.revision, "url": published.url}


def learned_from(recipe: Recipe, checkpoint: Record) -> list[str]:
    """Ids of the records of the pairs that a checkpoint was trained on, its recipe's corpora's."""
    named = (name.split("/", 1) for name in checkpoint.upstream)
    return [
        checkpoint.upstream[f"{asset}/{corpus}"].record
        for asset, corpus in named
        if asset == "training_pairs" and wants(recipe.training, corpus)
    ]


def _qualities(state: State, checkpoint: Record) -> dict[str, dict[str, Quality]]:
    """Corpus -> what this very checkpoint was measured at."""
    partitions = state.ledger.partitions("retrieval_evaluation")
    mine = [name for name in partitions if corpus_and_encoder(name)[1] == checkpoint.partition]
    evaluations = (state.ledger.require("retrieval_evaluation", name) for name in mine)
    return {
        corpus: qualities(state.warehouse, corpus, encoder, record.snapshot)
        for record in measured(state.ledger, checkpoint, evaluations)
        for corpus, encoder in [corpus_and_encoder(record.partition)]
    }
