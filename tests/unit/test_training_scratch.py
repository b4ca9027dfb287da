"""What trainings leave behind: each asset has its own, and an erasure spares what is under way."""

from pathlib import Path
from typing import Any

import pytest

from platform_assets.checkpoints import refresh as encoders
from platform_assets.checkpoints.store import CheckpointStore
from platform_assets.erasure.search import Find
from platform_assets.erasure.settle import Ground, _unstaged
from platform_assets.language_models import refresh as decoders
from resources.object_store.folder import FolderObjectStore

LEFT = "_lakeloom/staging/checkpoints/tuned/0/pairs.parquet"


def test_equal_names_of_two_assets_do_not_remove_each_others_training(tmp_path: Path) -> None:
    nothing: Any = None
    lake = FolderObjectStore(f"file://{tmp_path}/lake")
    store = CheckpointStore(lake, tmp_path, nothing)
    names = [f"{asset}/tuned" for asset in (encoders.ASSET, decoders.ASSET)]
    for name in names:
        (store.scratch / name / "made-of").mkdir(parents=True)
        lake.put(f"_lakeloom/staging/{name}/0/state.tar", b"a state that a lost launch left")
    store.clean(names[0])
    assert [name for name in names if (store.scratch / name).exists()] == names[1:]
    assert [found.key for found in lake.objects()] == [f"_lakeloom/staging/{names[1]}/0/state.tar"]


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
