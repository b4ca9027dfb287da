"""`lakeloom demo` on a folder of one's own: the whole graph, measured and searched."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.checkpoints.recipes import load_recipes
from platform_assets.cli import main
from platform_assets.commands.materialize import ASIDE
from platform_assets.commands.printing import PRINTERS
from platform_assets.definitions import defs

pytestmark = pytest.mark.slow

CORPUS = "field-notes"
BIRDS = ("albatross", "bittern", "cormorant", "dunlin", "egret", "fulmar", "gannet", "heron")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKELOOM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


def folder(parent: Path) -> Path:
    documents = parent / "Field Notes"
    documents.mkdir(parents=True)
    for bird in BIRDS:
        text = f"# Habits of the {bird}\n\nThe {bird} was seen near the harbour.\n"
        (documents / f"{bird}.md").write_text(text)
    return documents


def ended(*argv: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["demo", *argv])
    return int(end.value.code or 0)


def test_a_folder_becomes_a_measured_searchable_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = folder(tmp_path)
    assert ended("--docs", str(documents), "--json") == 0
    out, err = capsys.readouterr()
    answer: dict[str, Any] = json.loads(out)
    assert f"ingesting {documents} as corpus {CORPUS}" in err
    assert f"{len(BIRDS)} of {len(BIRDS)} documents parsed" in err

    made = {(row["asset"], row["partition"]) for row in answer["assets"]}
    wanted = dg.AssetSelection.all() - dg.AssetSelection.groups(*ASIDE)
    graph = {key.to_user_string() for key in wanted.resolve(defs.resolve_asset_graph())}
    assert {asset for asset, _ in made} >= graph
    assert {(f"{CORPUS}|{name}") for name in load_recipes()} <= {key for _, key in made}
    assert not [row for row in answer["assets"] if row["failed"]]

    measured = {row["retrieval"]: row for row in answer["evaluation"]}
    encoders = [f"{name} {kind}" for name in load_recipes() for kind in ("dense", "hybrid")]
    assert list(measured) == ["BM25", *encoders]
    assert sum(row["published"] for row in answer["evaluation"]) == 1
    for row in measured.values():
        assert row["queries"] > 0
        assert all("[" in row[metric] for metric in ("ndcg@10", "recall@10", "mrr@10"))

    assert answer["searches"]
    for found in answer["searches"]:
        assert found["corpus"] == CORPUS
        assert found["query"] in [f"Habits of the {bird}" for bird in BIRDS]
        assert 1 <= len(found["hits"]) <= 3
    command, word = answer["ui"].rsplit(" ", 1)
    assert (Path(command).is_file(), word) == (True, "ui")

    PRINTERS["demo"](answer)
    shown = capsys.readouterr().out
    assert "Retrieval quality on the test queries" in shown
    assert "Open the UI on this state" in shown


def test_a_folder_of_the_same_name_does_not_take_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = tmp_path / "home" / "lake" / CORPUS
    lake.mkdir(parents=True)
    (lake / "old.md").write_text("# Old")
    other = folder(tmp_path)
    assert ended("--docs", str(other)) == 2
    assert f"corpus {CORPUS} is that of another folder" in capsys.readouterr().err
    assert [path.name for path in lake.iterdir()] == ["old.md"]


def test_a_folder_without_documents_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert ended("--docs", str(tmp_path / "empty")) == 2
    assert "no folder with documents" in capsys.readouterr().err
