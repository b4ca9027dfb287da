"""The two partition dimensions: corpus (dynamic) and encoder (one for each recipe).

Here: definitions, key helpers and the rule for names. Not here: who adds corpora (sensors, CLI).
"""

import re

import dagster as dg

from platform_assets.checkpoints.recipes import load_recipes
from resources.settings import UsageError

CORPUS_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

corpora = dg.DynamicPartitionsDefinition(name="corpus")
encoders = dg.StaticPartitionsDefinition(sorted(load_recipes()))
corpora_by_encoder = dg.MultiPartitionsDefinition({"corpus": corpora, "encoder": encoders})


def check_corpus_name(name: str) -> str:
    """The name itself, if it can be a corpus.

    Raises:
        UsageError: it is no slug, so that partition keys, object keys and URLs would break.
    """
    if not CORPUS_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a corpus: use 1 to 63 lower-case letters, digits, '-' or '_', "
            "beginning with a letter or digit"
        )
    return name


def dimensions(partitions: dg.PartitionsDefinition[str] | None, key: str) -> dict[str, str]:
    """`corpus`, `encoder` or both -> that part of a key; none where an asset has other ones."""
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        return dict(partitions.get_partition_key_from_str(key).keys_by_dimension)
    if partitions == encoders:
        return {"encoder": key}
    return {"corpus": key} if partitions == corpora else {}


def corpus_and_encoder(partition_key: str) -> tuple[str, str]:
    """The two dimensions of a `corpora_by_encoder` key."""
    keys = corpora_by_encoder.get_partition_key_from_str(partition_key).keys_by_dimension
    return keys["corpus"], keys["encoder"]
