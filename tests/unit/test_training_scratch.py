"""What trainings leave behind: each asset has its own, and an erasure spares what is under way."""

from pathlib import Path
from typing import Any

import pytest

from platform_assets.checkpoints import refresh as encoders
from platform_assets.checkpoints.recipes import Recipe
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.erasure.search import Find
from platform_assets.erasure.settle import Ground, _unstaged
from platform_assets.language_models import refresh as decoders
from platform_assets.language_models.recipes import load_language_models
from resources.object_store.folder import FolderObjectStore

LEFT = "_lakeloom/staging/checkpoints/tuned/0/pairs.parquet"


def test_equal_names_of_two_assets_do_not_remove_each_others_training(tmp_path: Path) -> None:
    nothing: Any = None
    store = CheckpointStore(nothing, tmp_path, nothing)
    workshop = encoders.Workshop(nothing, store, nothing, nothing)
    (recipe,) = load_language_models().values()
    mine, theirs = (
        store.scratch / asset / recipe.name / "made-of" for asset in ("checkpoints", decoders.ASSET)
    )
    mine.mkdir(parents=True)
    theirs.mkdir(parents=True)
    encoders.clean(Recipe(name=recipe.name, base="tiny"), workshop)
    assert not mine.exists()
    assert theirs.exists()
    mine.mkdir(parents=True)
    decoders.clean(recipe, store)
    assert mine.exists()
    assert not theirs.exists()


@pytest.mark.parametrize("idle", [True, False])
def test_staged_pairs_go_unless_a_run_is_under_way(tmp_path: Path, *, idle: bool) -> None:
    lake = FolderObjectStore(f"file://{tmp_path}/lake")
    other = "_lakeloom/checkpoints/0/model.safetensors"
    state, others = LEFT.replace("pairs.parquet", "state.tar"), LEFT.replace("tuned", "other")
    for key in (LEFT, state, other, others):
        lake.put(key, b"erased")
    nothing: Any = None
    ground = Ground(lake, nothing, nothing, nothing, tmp_path, nothing, alone=False, idle=idle)
    finds = [Find("lake", key, "parquet", 1) for key in (LEFT, other)]
    gone = [LEFT, state] if idle else []
    assert _unstaged(finds, ground) == gone
    assert {found.key for found in lake.objects()} == {LEFT, state, other, others} - {*gone}
