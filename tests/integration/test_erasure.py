"""Erasure: a planted marker is found everywhere before, and in no byte after."""

import gzip
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.checkpoints import recipes
from platform_assets.chunks.table import CHUNKS
from platform_assets.cli import main
from platform_assets.commands.erase import erase
from platform_assets.commands.ingest import ingest
from platform_assets.commands.rollback import rollback
from platform_assets.commands.state import open_instance
from platform_assets.commands.trace import trace
from platform_assets.documents.table import DOCUMENTS, REJECTED_DOCUMENTS
from platform_assets.erasure.begin import begin
from platform_assets.queries import split_of
from platform_assets.raw_objects.table import document_id
from tests.every_byte import holders
from tests.spies import Platform

pytestmark = pytest.mark.slow

CORPUS, OTHER = "letters", "ships"
KEY = next(key for key in (f"patient-{n}.md" for n in range(9)) if split_of(key) == "train")
MARK, OLD = "Quillon Vantreight Ossory", "Marchbanks of Trevelyan"
SENTENCE = f"The patient {MARK} was admitted on a Tuesday with a broken collar bone."
TOPICS = (
    "whales", "volcanoes", "bread", "clocks", "bridges", "maps", "glass", "salt", "wool", "tides",
)  # fmt: skip
BOTH = ("minilm", "minilm-tuned")


def letter(topic: str, corpus: str) -> str:
    body = "\n\n".join(f"A note of {topic} in {corpus}, remark {part} of it." for part in range(4))
    afterword = f"## Afterword On {topic} And {corpus}\n\nEnd.\n"
    return f"# All About {topic} In {corpus}\n\n{body}\n\n{afterword}"


def secret(sentence: str) -> str:
    heading = f"History Of {MARK} At The Ward"
    body = "\n\n".join(f"{sentence} Entry {part} of the ward's book." for part in range(4))
    return f"# {heading}\n\n{body}\n\n## Prognosis For {MARK} And Family\n\nGood.\n"


def planted(platform: Platform, corpus: str = CORPUS) -> None:
    for topic in TOPICS:
        platform.write(corpus, f"{topic}.md", letter(topic, corpus))


@dataclass
class Erased:
    """A corpus with a secret, searched before its erasure and after."""

    platform: Platform
    home: Path
    before: dict[str, set[str]]
    answer: dict[str, Any]
    calls: Any

    def state(self) -> Any:
        return self.platform.state


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erased]:
    with pytest.MonkeyPatch.context() as patch:
        few = Path(__file__).parents[1] / "faults" / "recipes.toml"
        patch.setattr(recipes, "RECIPES", few)
        home = tmp_path_factory.mktemp("erasure")
        platform = Platform(home, patch)
        planted(platform)
        planted(platform, OTHER)
        platform.write(CORPUS, KEY, secret(f"The registrar was {OLD} at that time."))
        platform.materialize(CORPUS, OTHER, encoders=BOTH)  # trains on the secret
        platform.write(CORPUS, KEY, secret(SENTENCE))
        platform.materialize(CORPUS, OTHER, encoders=BOTH)
        plant_leftovers(platform)
        before = holders(home, [MARK, OLD])
        platform.calls.clear()
        state, spies = platform.state, platform._spies()
        answer = erase(state, CORPUS, KEY, "asked for by letter", platform.lines.append, spies)
        yield Erased(platform, home, before, answer, platform.calls)


def plant_leftovers(platform: Platform) -> None:
    """What crashes, caches and logs may leave behind."""
    home, state = platform.state.settings.home, platform.state
    training = home / "cache" / "checkpoints" / "training"
    training = training / "checkpoints" / "minilm-tuned" / "cut-off"
    training.mkdir(parents=True)
    pq.write_table(pa.table({"query": [SENTENCE]}), training / "pairs.parquet", compression="zstd")
    demo = home / "cache" / "demo" / CORPUS / KEY
    demo.parent.mkdir(parents=True)
    demo.write_text(secret(SENTENCE))
    served = state.vectors.served(CORPUS)
    assert served is not None
    with state.vectors.build(f"{CORPUS}.minilm.00cut0ff00cut0ff", 384, served.collection):
        pass
    task = next(iter(state.warehouse._table(CHUNKS).scan().plan_files()))
    data = Path(unquote(urlsplit(task.file.file_path).path))
    orphan = pa.table({"text": [SENTENCE]})
    pq.write_table(orphan, data.with_name("orphan.parquet"), compression="zstd")
    with open_instance(state.settings) as instance:
        run = instance.get_runs(limit=1)[0]
        instance.report_engine_event(f"could not read: {SENTENCE}", run)
    tracking = sqlite3.connect(home / "mlflow.db")
    tracking.execute("PRAGMA secure_delete = OFF")
    tracking.execute("CREATE TABLE scratch (text)")
    tracking.execute("INSERT INTO scratch VALUES (?)", [SENTENCE * 20])
    tracking.commit()
    tracking.execute("DROP TABLE scratch")
    tracking.commit()
    tracking.close()


def test_the_marker_stood_everywhere(erased: Erased) -> None:
    """Or that it stands nowhere after the erasure would prove nothing."""
    raw = " ".join(erased.before["raw"])
    assert f"lake/{CORPUS}/{KEY}" in raw
    assert "vectors/collections/" in raw
    assert "vectors/building/" in raw
    assert "dagster/history/" in raw
    assert "mlflow.db" in raw
    parquet = " ".join(erased.before["parquet"])
    for table in ("documents", "chunks", "queries", "training_pairs"):
        assert f"/{table}/" in parquet
    assert "orphan" in parquet
    assert "cache/checkpoints/training" in parquet


def test_afterwards_it_stands_in_no_byte(erased: Erased) -> None:
    assert erased.answer["ok"], erased.answer["found"]
    assert holders(erased.home, [MARK, OLD]) == {}


def test_nor_does_its_key(erased: Erased) -> None:
    assert holders(erased.home, [KEY]) == {}


def test_the_report_says_what_was_searched(erased: Erased) -> None:
    answer = erased.answer
    home = next(place for place in answer["searched"] if place["place"] == "home")
    files = [path for path in erased.home.rglob("*") if path.is_file()]
    assert home["items"] >= 0.9 * len(files)
    assert home["bytes"] > sum(
        path.stat().st_size for path in files if path.suffix == ".safetensors"
    )
    assert home["decoded"] > 0
    assert not home["unreadable"]
    assert answer["passages"] > 50
    assert answer["document"] == document_id(CORPUS, KEY)
    cleaned = " ".join(answer["cleaned"])
    for place in ("cache/demo", "cache/checkpoints/training", "mlflow.db", "dagster/history"):
        assert place in cleaned
    kept = next((erased.home / "lake" / "_lakeloom" / "erasures" / CORPUS).glob("*.json"))
    case = json.loads(kept.read_text())
    assert case["state"] == "proven"
    assert case["searched"]
    assert list(kept.parent.iterdir()) == [kept]


def test_it_costs_an_update_not_a_rebuild(erased: Erased) -> None:
    calls, texts = (
        erased.calls,
        {row["text"] for row in erased.platform.rows(CHUNKS, corpus=CORPUS)},
    )
    assert calls.parsed == []
    assert not texts & set(calls.encoded)
    assert calls.trained == []
    assert len(calls.upserted) == 2 * len(texts)  # a clone of the index would keep its bytes


def test_nothing_goes_back_to_it(erased: Erased) -> None:
    state = erased.state()
    assert all("secret" not in hit["key"] for hit in erased.platform.search(CORPUS, MARK, 50))
    with pytest.raises(LookupError, match="no earlier index"):
        rollback(state, CORPUS)
    assert state.vectors.unfinished() == []


def test_other_corpora_keep_what_they_had(erased: Erased) -> None:
    state = erased.state()
    assert erased.platform.search(OTHER, "a note of whales")[0]["key"] == "whales.md"
    for corpus in (OTHER, CORPUS):
        answer = trace(state, corpus)
        assert answer["ok"], [link for link in answer["links"] if not link["ok"]]
    forgotten = {link["asset"] for link in answer["links"] if link["why"].startswith("forgotten")}
    assert "training_pairs" in forgotten
    assert forgotten.isdisjoint({"published_index", "vector_index", "embeddings"})
    pinned = erased.platform.materialize(CORPUS, select="key:table_maintenance")
    assert not any(row["failed"] or row["warnings"] for row in pinned.values())
    erased.platform.materialize(OTHER, encoders=BOTH)
    assert erased.platform.calls.none()


def test_everything_again_does_nothing_and_erases_nothing(erased: Erased) -> None:
    rows = erased.platform.materialize(CORPUS, encoders=BOTH)
    assert not {"embeddings", "documents", "raw_objects"} & set(erased.platform.calls.commits)
    assert "erasures" not in {asset for asset, _ in rows}
    rows = erased.platform.materialize(CORPUS, select="key:erasures")
    assert rows["erasures", CORPUS]["changed"] == 0


def test_checkpoints_that_learned_from_it_are_named_until_they_are_trained_anew(
    erased: Erased,
) -> None:
    platform = erased.platform
    (trained,) = erased.answer["checkpoints"]
    latest = platform.state.ledger.require("checkpoints", "minilm-tuned")
    assert trained["encoder"] == "minilm-tuned"
    assert trained["checkpoint"] == latest.details["checkpoint"]
    kept = "key:checkpoints and not key:erasures"
    (row,) = platform.materialize(CORPUS, encoders=["minilm-tuned"], select=kept).values()
    assert any("not_trained_on_erased_documents" in warning for warning in row["warnings"])
    anew = "key:training_pairs or key:checkpoints"
    rows = platform.materialize(CORPUS, encoders=["minilm-tuned"], select=anew)
    row = rows["checkpoints", "minilm-tuned"]
    assert row["work"]["trained_steps"]
    assert not any("not_trained_on_erased" in warning for warning in row["warnings"])
    assert holders(erased.home, [MARK, OLD]) == {}


def run(*arguments: str) -> int:
    """Status of a command."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(str(ended.value.code))


def test_what_was_erased_may_not_come_back_until_that_is_lifted(
    platform: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    state, select = platform.state, "+key:documents"
    platform.write(CORPUS, KEY, secret(SENTENCE))
    platform.write(CORPUS, "whales.md", letter("whales", CORPUS))
    platform.materialize(CORPUS, select=select)
    assert run("erase", CORPUS, KEY) == 0
    platform.write(CORPUS, KEY, "# Another Text\n\nUnder the same key.\n")
    platform.write(CORPUS, "copy.md", secret(SENTENCE))
    platform.materialize(CORPUS, select=select)
    rejected = platform.rows(REJECTED_DOCUMENTS, corpus=CORPUS)
    assert {row["key"]: row["reason"] for row in rejected} == {KEY: "erased", "copy.md": "erased"}
    assert "--lift" in rejected[0]["message"]
    assert platform.calls.parsed == []
    folder = tmp_path_factory.mktemp("uploads")
    (folder / "mail.md").write_text(secret(SENTENCE))
    answer = ingest(state, folder, CORPUS, mirror=False)
    assert not answer["ok"]
    assert list(answer["refused"]) == ["mail.md"]
    assert run("erase", CORPUS, KEY, "--lift") == 0
    assert run("erase", CORPUS, KEY, "--lift") == 1
    platform.materialize(CORPUS, select=select)
    assert sorted(platform.calls.parsed) == ["copy.md", KEY]
    assert platform.rows(REJECTED_DOCUMENTS, corpus=CORPUS) == []
    assert ingest(state, folder, CORPUS, mirror=False)["ok"]


def test_text_in_an_upload_is_named_until_it_is_edited(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{"_id": "q1", "text": SENTENCE}, {"_id": "q2", "text": "a note of whales"}]
    platform.write(CORPUS, KEY, secret(SENTENCE))
    platform.write(CORPUS, "whales.md", letter("whales", CORPUS))
    platform.write(CORPUS, "queries.jsonl", "\n".join(map(json.dumps, lines)))
    platform.write(CORPUS, "qrels/test.tsv", f"q1\t{KEY}\t1\nq2\twhales.md\t1\n")
    platform.materialize(CORPUS, select="+key:queries")
    assert run("erase", CORPUS, KEY, "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["state"] == "found"
    assert {find["item"] for find in answer["found"]} == {f"lake/{CORPUS}/queries.jsonl"}
    assert answer["judged"] == {"qrels/test.tsv": 1}
    platform.write(CORPUS, "queries.jsonl", json.dumps(lines[1]))
    platform.write(CORPUS, "qrels/test.tsv", "q2\twhales.md\t1\n")
    assert run("erase", CORPUS, KEY, "--json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "proven"
    assert holders(platform.state.settings.home, [MARK]) == {}
    assert run("erase", CORPUS, KEY) == 0  # and once more, for there is nothing left to do
    assert run("erase", CORPUS, "never-there.md") == 1


def test_nothing_is_proven_while_something_cannot_be_decoded(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.write(CORPUS, KEY, secret(SENTENCE))
    platform.write(CORPUS, "whales.md", letter("whales", CORPUS))
    damaged = platform.state.settings.home / "lake" / OTHER / "mail.gz"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(gzip.compress(secret(SENTENCE).encode())[:-20])
    platform.materialize(CORPUS, select="+key:chunks")
    assert run("erase", CORPUS, KEY, "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["state"] == "unreadable"
    place = f"lake/{OTHER}/mail.gz"
    assert [item for each in answer["searched"] for item in each["unreadable"]] == [place]
    (row,) = (row for row in answer["assets"] if row["asset"] == "erasures")
    assert place in row["failed"]
    assert run("erase", CORPUS, KEY) == 1
    assert f"may be in {place}" in capsys.readouterr().out
    damaged.unlink()
    assert run("erase", CORPUS, KEY, "--json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "proven"


def test_an_erasure_that_was_cut_off_is_finished_by_the_next(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, select = platform.state, "+key:chunks"
    platform.write(CORPUS, KEY, secret(SENTENCE))
    platform.write(CORPUS, "whales.md", letter("whales", CORPUS))
    platform.materialize(CORPUS, select=select)
    begin(CORPUS, document_id(CORPUS, KEY), "", state.lake, state.warehouse)
    platform.materialize(CORPUS, select=f"{select} or key:erasures")
    assert len(platform.rows(DOCUMENTS, corpus=CORPUS)) == 1
    assert holders(state.settings.home, [MARK]) == {}
    platform.write(CORPUS, "never-materialised.md", secret(SENTENCE).replace("Tuesday", "Friday"))
    assert run("erase", CORPUS, "never-materialised.md") == 0
    assert holders(state.settings.home, [MARK]) == {}
    platform.write(CORPUS, "tides.md", secret(SENTENCE).replace("Tuesday", "Monday"))
    platform.materialize(CORPUS, select=select)
    with monkeypatch.context() as cut:
        cut.setattr("platform_assets.erasure.settle.search_folder", _cut_off)
        assert run("erase", CORPUS, "tides.md") == 1
    assert run("erase", CORPUS, "tides.md") == 0
    assert holders(state.settings.home, [MARK]) == {}


def _cut_off(*_: object) -> None:
    raise RuntimeError("the machine stopped")


def test_the_only_document_of_a_corpus_can_be_erased(platform: Platform) -> None:
    platform.write(CORPUS, KEY, secret(SENTENCE))
    platform.materialize(CORPUS, select="+key:published_index")
    assert platform.search(CORPUS, MARK)
    assert run("erase", CORPUS, KEY) == 0
    assert platform.search(CORPUS, MARK) == []
    assert holders(platform.state.settings.home, [MARK, KEY]) == {}


def test_a_document_that_was_deleted_before_is_erased_from_the_past(platform: Platform) -> None:
    platform.write(CORPUS, KEY, secret(SENTENCE))
    platform.write(CORPUS, "whales.md", letter("whales", CORPUS))
    platform.materialize(CORPUS, select="+key:published_index")
    platform.state.lake.delete(f"{CORPUS}/{KEY}")
    platform.materialize(CORPUS, select="+key:published_index")
    assert holders(platform.state.settings.home, [MARK]).keys() >= {"raw", "parquet"}
    assert run("erase", CORPUS, KEY) == 0
    assert holders(platform.state.settings.home, [MARK]) == {}
    assert platform.search(CORPUS, "a note of whales")[0]["key"] == "whales.md"
