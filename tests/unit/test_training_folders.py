import json
from pathlib import Path

import pytest

from resources.training.folders import (
    StateFolder,
    complete_or_not,
    pooling,
    transformer_folder,
    write_checkpoint,
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    (folder / "1_Pooling").mkdir(parents=True)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [{"path": path, "type": f"x.{kind}"} for path, kind in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (folder / "model.safetensors").write_text("old")
    (folder / "pytorch_model.bin").write_text("old")
    return folder


def save(state: StateFolder, step: int) -> None:
    state.partial(step).mkdir()
    (state.partial(step) / "model").write_text(str(step))
    state.publish(step)


def test_last_published_state_wins_and_is_the_only_one(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state", "f")
    state.clean()
    assert state.last() is None
    save(state, 9)
    save(state, 10)
    assert (last := state.last()) is not None
    assert (last / "model").read_text() == "10"
    assert len(list(last.parent.iterdir())) == 1


def test_half_written_and_foreign_states_are_removed(tmp_path: Path) -> None:
    state = StateFolder(tmp_path, "f")
    state.clean()
    save(state, 2)
    state.partial(4).mkdir()
    again = StateFolder(tmp_path, "f")
    again.clean()
    assert again.last() == state.last() is not None
    assert not state.partial(4).exists()
    other = StateFolder(tmp_path, "g")
    other.clean()
    assert other.last() is None
    assert state.last() is None


def test_checkpoint_has_the_bases_files_and_only_the_new_weights(
    base: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"

    def save_weights(path: Path) -> None:
        path.write_text("new")

    write_checkpoint(base, output, save_weights)
    files = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert files == {"modules.json", "1_Pooling/config.json", "model.safetensors"}
    assert (output / "model.safetensors").read_text() == "new"


def test_checkpoint_appears_complete_or_not_at_all(base: Path, tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(base, tmp_path / "out", fail)
    assert not (tmp_path / "out").exists()


def test_pooling_is_read_in_both_spellings(base: Path) -> None:
    assert pooling(base) == "mean"
    (base / "1_Pooling/config.json").write_text('{"pooling_mode": "cls"}')
    assert pooling(base) == "cls"
    (base / "1_Pooling/config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(ValueError, match="does not pool by mean or cls"):
        pooling(base)


def test_folder_that_is_no_encoder_is_refused(base: Path) -> None:
    (base / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"lacks model\.safetensors"):
        transformer_folder(base)
    (base / "modules.json").unlink()
    with pytest.raises(ValueError, match=r"lacks modules\.json"):
        transformer_folder(base)


def test_what_is_cut_off_does_not_take_the_place_of_what_was_there(tmp_path: Path) -> None:
    output = tmp_path / "adapter"
    with complete_or_not(output) as folder:
        (folder / "weights").write_text("old")

    def cut_off() -> None:
        with complete_or_not(output) as folder:
            (folder / "weights").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert (output / "weights").read_text() == "old"
    with complete_or_not(output) as folder:
        assert list(folder.iterdir()) == []
