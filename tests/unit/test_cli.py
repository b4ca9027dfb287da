"""Arguments, exit status and output of `lakeloom`, without materialising anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from platform_assets.cli import main
from platform_assets.commands import printing
from platform_assets.commands.state import State
from platform_assets.provenance import Record
from resources.settings import Settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAKELOOM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return tmp_path / "home"


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "COMMAND"),
        (("dance",), "invalid choice"),
        (("search", "docs"), "QUERY"),
        (("search", "docs", "words", "--top", "0"), "at least 1"),
        (("materialize", "--encoder", "gpt"), "minilm"),
        (("materialize", "--select", "nonsense(("), "--select 'nonsense((' is no selection"),
        (("materialize", "--select", "key:nonsense"), "--select 'key:nonsense' selects no asset"),
        (("materialize", "--select", "checkpoint"), "--select 'checkpoint' is no selection"),
        (("ingest", "/nowhere", "--corpus", "docs"), "no folder"),
        (("ingest", ".", "--corpus", "Über/uns"), "lower-case letters"),
    ],
)
def test_unusable_arguments_end_with_2_and_say_what_is_wrong(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, argv: tuple[str, ...], said: str
) -> None:
    if argv[:1] == ("materialize",):
        put(capsys, tmp_path)
    status, out, err = run(capsys, *argv)
    assert status == 2
    assert said in err
    assert not out


def test_a_wrong_recipe_is_one_line_whatever_the_command(home: Path) -> None:
    home.mkdir()
    wrong = home / "recipes.toml"
    wrong.write_text('[mine]\nbase = "all-MiniLM-L6-v2"\nepochs = 2\n')
    begin = (
        "from pathlib import Path; from platform_assets.checkpoints import recipes; "
        f"recipes.RECIPES = Path({str(wrong)!r}); "
        "from platform_assets.cli import main; main(['status'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", begin], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("lakeloom: recipes.toml: recipe 'mine': epochs: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["search", "trace", "rollback"])
def test_what_is_not_published_ends_with_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    put(capsys, tmp_path)
    words = ("words",) if command == "search" else ()
    status, out, err = run(capsys, command, "docs", *words)
    assert status == 1
    assert "docs" in err
    assert not out


def test_an_empty_lake_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "materialize")
    assert status == 1
    assert "lakeloom ingest" in err


def put(capsys: pytest.CaptureFixture[str], tmp_path: Path, *flags: str) -> dict[str, object]:
    folder = tmp_path / "documents"
    if not folder.exists():
        (folder / "deep").mkdir(parents=True)
        (folder / ".hidden").write_text("no")
        (folder / "deep" / "a b.md").write_text("# A")
    status, out, _ = run(capsys, "ingest", str(folder), "--corpus", "docs", "--json", *flags)
    assert status == 0
    answer: dict[str, object] = json.loads(out)
    return answer


def test_ingest_copies_what_differs_and_mirrors_on_demand(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, home: Path
) -> None:
    assert put(capsys, tmp_path)["copied"] == 1
    assert put(capsys, tmp_path)["copied"] == 0
    lake = home / "lake" / "docs"
    assert (lake / "deep" / "a b.md").read_text() == "# A"
    (lake / "old.md").write_text("# Old")
    assert put(capsys, tmp_path)["removed"] == 0
    assert put(capsys, tmp_path, "--mirror")["removed"] == 1
    assert not (lake / "old.md").exists()
    (tmp_path / "documents" / "deep" / "a b.md").write_text("# B")  # of the same size
    assert put(capsys, tmp_path)["copied"] == 1


def test_status_is_one_json_document(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    put(capsys, tmp_path)
    status, out, _ = run(capsys, "status", "--json")
    corpus = json.loads(out)["corpora"]["docs"]
    assert status == 0
    assert (corpus["objects"], corpus["documents"], corpus["published"]) == (0, 0, None)
    assert corpus["encoders"]["minilm"]["ndcg@10"] == {"dense": None, "hybrid": None}


def test_what_is_stale_for_every_corpus_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    counts = dict.fromkeys(("objects", "documents", "rejected", "chunks"), 0)
    stale = ["checkpoints [tuned]"]
    why = {"why_stale": {"checkpoints [tuned]": "its recipe has changed since"}}
    empty = {**counts, **why, "published": None, "rejections": {}, "encoders": {}}
    corpora = {
        "birds": {**empty, "stale": ["chunks [birds]", *stale]},
        "trees": {**empty, "stale": ["chunks [trees]", *stale]},
    }
    printing.status({"corpora": corpora})
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("stale")]
    assert said == [
        "stale chunks [birds]",
        "stale checkpoints [tuned]: its recipe has changed since",
        "stale chunks [trees]",
    ]


@pytest.mark.parametrize(
    "argv",
    [
        ("search", "nope", "words"),
        ("trace", "nope"),
        ("rollback", "nope"),
        ("erase", "nope", "a.md"),
        ("export", "nope", "--to", "somewhere"),
        ("materialize", "--corpus", "nope"),
    ],
    ids=lambda argv: argv[0],
)
def test_an_unknown_corpus_is_answered_with_those_there_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, argv: tuple[str, ...]
) -> None:
    status, _, err = run(capsys, *argv)
    assert status == 2
    assert "no corpus 'nope'; there are: none yet, begin with `lakeloom ingest" in err
    put(capsys, tmp_path)
    status, out, err = run(capsys, *argv)
    assert status == 2
    assert "no corpus 'nope'; there are: docs" in err
    assert not out


def test_a_file_name_that_is_not_utf_8_is_refused_and_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    put(capsys, tmp_path)
    (tmp_path / "documents" / os.fsdecode(b"caf\xe9.md")).write_text("# Coffee")
    folder = str(tmp_path / "documents")
    status, out, _ = run(capsys, "ingest", folder, "--corpus", "docs", "--json")
    assert status == 1
    assert json.loads(out.encode()) == {
        "ok": False,
        "corpus": "docs",
        "files": 2,
        "copied": 0,
        "removed": 0,
        "refused": {r"caf\xe9.md": "its name is not UTF-8 text"},
    }
    status, out, _ = run(capsys, "ingest", folder, "--corpus", "docs")
    assert r"caf\xe9.md" in out


def test_an_answer_with_bytes_that_are_no_text_is_still_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.fsdecode(b"\xff")
    monkeypatch.setattr("platform_assets.commands.status.status", lambda _: {"name": name})
    _, out, _ = run(capsys, "status", "--json")
    assert json.loads(out.encode()) == {"name": name}


def test_an_altered_record_is_a_failure_not_a_wrong_argument(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, home: Path
) -> None:
    put(capsys, tmp_path)
    ledger = State(Settings.from_env()).ledger
    record = ledger.commit(Record("raw_objects", "docs", None, "a digest", 1, "1"))
    file = home / "lake" / "_lakeloom" / "records" / f"{record.record_id}.json"
    file.write_text(file.read_text().replace("a digest", "a d1gest"))
    status, out, err = run(capsys, "status", "--json")
    assert status == 1
    assert f"lakeloom: provenance record {record.record_id} was altered" in err
    assert not out


@pytest.mark.parametrize("bug", [KeyError("rows"), IndexError("0"), TypeError("None")])
def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch, bug: Exception) -> None:
    def fail(_: State) -> None:
        raise bug

    monkeypatch.setattr("platform_assets.commands.status.status", fail)
    with pytest.raises(type(bug)):
        main(["status"])
