"""Answers of the commands as tables for people.

Here: rich tables on standard output. Not here: JSON, which cli.py prints as it is.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Answer = Mapping[str, Any]

console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
SHOWN_TEXT = 200
LAST = "what"
"""Heading of the column that may wrap."""
NUMERIC = (
    *("rows", "seconds", "objects", "documents", "rejected", "chunks", "queries"),
    *("items", "bytes", "decoded", "found"),
)
WORDS = {"commits": "committed", "trained_steps": "steps trained"}


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        side: Literal["left", "right"] = "right" if column in NUMERIC else "left"
        table.add_column(column, justify=side, no_wrap=column != LAST, overflow="fold")
    return table


def _changes(row: Mapping[str, Any]) -> str:
    counts = (("+", row["added"]), ("~", row["changed"]), ("-", row["removed"]))
    return " ".join(f"{sign}{count:,}" for sign, count in counts if count)


def _work(work: Mapping[str, int]) -> str:
    done = [f"{count:,} {WORDS.get(name, name)}" for name, count in work.items() if count]
    return ", ".join(done)


def materialize(answer: Answer) -> None:
    """A row for each asset partition, then what went wrong."""
    table = _table("Assets", "asset", "partition", "rows", "changes", "seconds", LAST)
    for row in answer["assets"]:
        work = "[red]failed[/red]" if row["failed"] else _work(row["work"])
        cells = (row["asset"], row["partition"], f"{row['rows']:,}", _changes(row))
        table.add_row(*cells, f"{row['seconds']:.1f}", work)
    console.print(table)
    for row in answer["assets"]:
        place = escape(f"{row['asset']} [{row['partition']}]")
        for warning in row["warnings"]:
            console.print(f"[yellow]warning[/yellow] {place} {escape(warning)}")
        if row["failed"]:
            console.print(f"[red]failed[/red] {place} {escape(row['failed'])}")


def search(answer: Answer) -> None:
    """Hits with their place and the beginning of their text."""
    index = answer["index"]
    console.print(f"[dim]{index['collection']} by {index['encoder']}[/dim]")
    for rank, hit in enumerate(answer["hits"], 1):
        place = " > ".join([hit["key"], *(hit["heading"] or [])])
        page = f", page {hit['page']}" if hit["page"] else ""
        text = " ".join(hit["text"].split())
        short = text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}…"
        console.print(f"{rank}. [bold]{escape(place)}[/bold]{page} [dim]{hit['score']:.3f}[/dim]")
        console.print(f"   {escape(short)}")
    if not answer["hits"]:
        console.print("no hits")


def trace(answer: Answer) -> None:
    """A row for each link."""
    table = _table("Provenance", "asset", "partition", "digest", LAST)
    for link in answer["links"]:
        state = "[green]holds[/green]" if link["ok"] else f"[red]{escape(link['why'])}[/red]"
        table.add_row(link["asset"], link["partition"], link["digest"][:12], state)
    console.print(table)
    broken = [link for link in answer["links"] if not link["ok"]]
    if broken:
        names = ", ".join(f"{link['asset']} [{link['partition']}]" for link in broken)
        console.print(f"[red]{len(broken)} broken:[/red] {escape(names)}")


def status(answer: Answer) -> None:
    """A row for each corpus, then its quality, its rejections and what is stale."""
    table = _table("Corpora", "corpus", "objects", "documents", "rejected", "chunks", "published")
    for name, corpus in answer["corpora"].items():
        served = corpus["published"]
        published = f"{served['encoder']}, {served['retriever']}" if served else "nothing"
        counts = [f"{corpus[key]:,}" for key in ("objects", "documents", "rejected", "chunks")]
        table.add_row(name, *counts, published)
    console.print(table)
    console.print(quality_table(answer))
    told: set[str] = set()  # a checkpoint is stale for every corpus
    for name, corpus in answer["corpora"].items():
        for key, reason in corpus["rejections"].items():
            console.print(f"[yellow]rejected[/yellow] {escape(f'{name}/{key}')}: {reason}")
        for stale in (each for each in corpus["stale"] if each not in told):
            told.add(stale)
            why = f": {corpus['why_stale'][stale]}" if stale in corpus["why_stale"] else ""
            console.print(f"[yellow]stale[/yellow] {escape(stale + why)}")


def quality_table(answer: Answer) -> Table:
    """nDCG@10 of each corpus by retriever."""
    table = _table("nDCG@10 on the test queries", "corpus", "encoder", "bm25", "dense", "hybrid")
    for name, corpus in answer["corpora"].items():
        for encoder, found in corpus["encoders"].items():
            scores = (corpus["bm25_ndcg@10"], *found["ndcg@10"].values())
            table.add_row(name, encoder, *("" if s is None else f"{s:.4f}" for s in scores))
    return table


def ingest(answer: Answer) -> None:
    """One line."""
    console.print(
        f"{answer['corpus']}: {answer['files']} files, {answer['copied']} copied, "
        f"{answer['removed']} removed"
    )
    for key, why in answer["refused"].items():
        console.print(f"[red]refused[/red] {escape(key)}: {escape(why)}; rename the file")


def rollback(answer: Answer) -> None:
    """One line."""
    console.print(f"{answer['corpus']} serves {answer['served']} instead of {answer['previous']}")


def push(answer: Answer) -> None:
    """One line."""
    console.print(f"{answer['repo']} at {answer['revision'][:12]}: {answer['url']}")


def export(answer: Answer) -> None:
    """A row for each table."""
    table = _table("Exported", "table", "rows", "changes", LAST)
    for row in answer["tables"]:
        work = _work({name: row[name] for name in ("written", "commits")})
        table.add_row(row["table"], f"{row['rows']:,}", _changes(row), work)
    console.print(table)


def erase(answer: Answer) -> None:
    """What was searched, what was found, and what is left to do."""
    if "lifted" in answer:
        console.print(
            f"{escape(answer['key'])} may come back: {answer['lifted']} tombstones lifted"
        )
        return
    table = _table("Searched", "place", "items", "bytes", "decoded", "found", LAST)
    for place in answer["searched"]:
        counts = [f"{place[name]:,}" for name in ("items", "bytes", "decoded", "found")]
        unreadable = len(place["unreadable"])
        table.add_row(place["place"], *counts, f"{unreadable} unreadable" if unreadable else "")
    console.print(table)
    for row in answer["assets"]:
        if row["failed"]:
            place = escape(f"{row['asset']} [{row['partition']}]")
            console.print(f"[red]failed[/red] {place} {escape(row['failed'])}")
    for find in answer["found"]:
        console.print(f"[red]still in[/red] {escape(find['item'])} ({find['form']})")
    for item in (item for place in answer["searched"] for item in place["unreadable"]):
        console.print(f"[red]may be in[/red] {escape(item)}, which cannot be decoded")
    for file, lines in answer["judged"].items():
        console.print(f"[yellow]edit[/yellow] {escape(file)}: {lines} lines judge the document")
    for trained in answer["checkpoints"]:
        named = f"{trained['encoder']} {trained['checkpoint'][:12]}"
        console.print(f"[yellow]retrain[/yellow] {named} learned from the document")
    for layer in answer["not_searched"]:
        console.print(f"[yellow]not searched[/yellow] {layer}")
    colour = "green" if answer["ok"] else "red"
    console.print(f"{answer['document']}: [{colour}]{answer['state']}[/{colour}]")


def check(answer: Answer) -> None:
    """A row for each check."""
    table = _table("Asset checks", "asset", "check", LAST)
    for found in answer["checks"]:
        colour = "green" if found["passed"] else "red" if found["severity"] == "ERROR" else "yellow"
        said = escape(found["description"] or "")
        table.add_row(found["asset"], found["check"], f"[{colour}]{said}[/{colour}]")
    console.print(table)


def events(answer: Answer) -> None:
    """One line, at the end."""
    console.print(f"no longer listening at {answer['listened']}")


def upgrade(answer: Answer) -> None:
    """What was taken over, and whether what is served holds."""
    there = f"{len(answer['tables'])} tables"
    if answer["migrated"]:
        console.print(f"{there}, Dagster's storage and the tracking are up to date")
    else:
        console.print(f"{there} and Dagster's storage are there; nothing was migrated")
    for corpus, ok in answer["served"].items():
        said = "[green]every link holds[/green]" if ok else "[red]see `lakeloom trace`[/red]"
        console.print(f"{escape(corpus)}: {said}")


def demo(answer: Answer) -> None:
    """Everything at once, and what to type next."""
    materialize(answer)
    console.print(evaluation_table(answer))
    for found in answer["searches"]:
        console.print(f"\n[bold]{escape(found['corpus'])}[/bold]: {escape(found['query'])}")
        search(found)
    console.print(f"\nOpen the UI on this state:  [bold]{escape(answer['ui'])}[/bold]")


def evaluation_table(answer: Answer) -> Table:
    """Quality with 95% confidence intervals; the published index of each corpus is green."""
    table = _table(
        "Retrieval quality on the test queries: mean [95% interval], published in green",
        *("retrieval", "nDCG@10", "Recall@10", "MRR@10", "queries"),
    )
    for row in answer["evaluation"]:
        style = "green" if row["published"] else ""
        name = escape(f"{row['corpus']}: {row['retrieval']}")
        scores = [escape(row[metric]) for metric in ("ndcg@10", "recall@10", "mrr@10")]
        table.add_row(name, *scores, str(row["queries"]), style=style)
    return table


PRINTERS: Mapping[str, Callable[[Answer], None]] = {
    "ingest": ingest,
    "materialize": materialize,
    "search": search,
    "trace": trace,
    "status": status,
    "rollback": rollback,
    "check": check,
    "events": events,
    "metrics": events,
    "erase": erase,
    "export": export,
    "push": push,
    "upgrade": upgrade,
    "demo": demo,
}
"""Command -> how its answer is shown."""
