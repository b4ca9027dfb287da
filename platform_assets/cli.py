"""The command `lakeloom`.

Here: arguments, and the exit status: 0 done, 1 something failed, 2 unusable arguments.
Not here: what commands do (platform_assets/commands), how answers look (commands/printing.py).
"""

import argparse
import gc
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from platform_assets.commands.state import State

Answer = dict[str, Any]
BEGIN = "begin with `lakeloom ingest DIR --corpus NAME`"
LISTEN = "127.0.0.1:9464"
"""Where figures are served unless told; the port is OpenTelemetry's for Prometheus exporters."""
YOUNG_OBJECTS = 100_000
"""Objects made between two collections: Dagster's start makes many times as many, which stay."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit with its status."""
    arguments = _parser().parse_args(argv)
    gc.set_threshold(YOUNG_OBJECTS)
    from resources.settings import Settings, UsageError

    try:
        from platform_assets.commands.state import State  # reads the recipes, which may be wrong

        answer: Answer = arguments.run(State(Settings.from_env()), arguments)
    except UsageError as error:
        _end(2, str(error))
    except Exception as error:
        if not _is_for_people(error):
            raise
        _end(1, str(error))
    if arguments.json:
        text = json.dumps(answer, ensure_ascii=False, default=str)
        # File names that are not UTF-8 hold lone surrogates, which JSON can only say escaped.
        print(text.encode(errors="backslashreplace").decode())
    else:
        from platform_assets.commands.printing import PRINTERS

        PRINTERS[arguments.command](answer)
    gc.freeze()  # the interpreter would search everything for cycles before it ends
    sys.exit(0 if answer.get("ok", True) else 1)


def _is_for_people(error: Exception) -> bool:
    """Whether an error was raised to be read; others come from bugs and show their traceback."""
    ours = type(error).__module__.startswith(("platform_assets.", "resources."))
    plain = type(error) in (ValueError, LookupError, RuntimeError)
    return ours or plain or isinstance(error, OSError)


def _end(status: int, message: str) -> None:
    print(f"lakeloom: {message}", file=sys.stderr)
    sys.exit(status)


def _show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _chosen(asked: Sequence[str] | None, known: Sequence[str], what: str) -> list[str]:
    if unknown := sorted(set(asked or ()) - set(known)):
        from resources.settings import UsageError

        there = ", ".join(known) or f"none yet, {BEGIN}"
        raise UsageError(f"there is no {what} {unknown[0]!r}; there are: {there}")
    return sorted(set(asked)) if asked else list(known)


def _ingest(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.commands.ingest import ingest

    return ingest(state, arguments.folder, arguments.corpus, mirror=arguments.mirror)


def _materialize(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.checkpoints.recipes import load_recipes
    from platform_assets.commands.materialize import Request, materialize

    request = Request(
        _chosen(arguments.corpus, state.corpora(), "corpus"),
        _chosen(arguments.encoder, sorted(load_recipes()), "encoder"),
        arguments.select,
        keys=arguments.key or (),
    )
    if not request.corpora:
        raise LookupError(f"the lake holds no corpus: {BEGIN}")
    if request.keys and len(request.corpora) > 1:
        from resources.settings import UsageError

        raise UsageError("--key names an object of one corpus: add --corpus")
    if arguments.as_of:
        from platform_assets.commands.restore import as_of

        request = as_of(state, request, arguments.as_of)
    return materialize(state, request, _show)


def _corpus(state: "State", name: str) -> str:
    """The name itself, if there is or was such a corpus; a lake is not listed for one served."""
    from platform_assets.partitions import CORPUS_NAME

    if not (CORPUS_NAME.fullmatch(name) and state.vectors.served(name)):
        _chosen([name], state.corpora(), "corpus")
    return name


def _search(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.commands.search import search
    from resources.vector_store import SearchFilter

    where = SearchFilter(arguments.key_prefix, arguments.heading)
    return search(state, _corpus(state, arguments.corpus), arguments.query, arguments.top, where)


def _trace(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.commands.trace import trace

    return trace(state, _corpus(state, arguments.corpus))


def _status(state: "State", _: argparse.Namespace) -> Answer:
    from platform_assets.commands.status import status

    return status(state)


def _rollback(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.commands.rollback import rollback

    return rollback(state, _corpus(state, arguments.corpus), arguments.to)


def _erase(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.commands.erase import erase, lift

    corpus = _corpus(state, arguments.corpus)
    if arguments.lift:
        return lift(state, corpus, arguments.key)
    return erase(state, corpus, arguments.key, arguments.reason, _show)


def _push(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.checkpoints.recipes import load_recipes
    from platform_assets.commands.push import push

    (encoder,) = _chosen([arguments.encoder], sorted(load_recipes()), "encoder")
    return push(state, encoder, arguments.repo or encoder, private=arguments.private)


def _export(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.commands.export import export
    from resources.registry import open_export

    corpus = _corpus(state, arguments.corpus)
    return export(state, corpus, open_export(arguments.format, arguments.to))


def _check(state: "State", _: argparse.Namespace) -> Answer:
    from platform_assets.commands.check import check

    return check(state, _show)


def _demo(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.commands.demo import demo

    return demo(state, arguments.docs, _show)


def _events(state: "State", _: argparse.Namespace) -> Answer:
    from platform_assets.commands.events import events

    return events(state, _show)


def _metrics(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.commands.metrics import metrics

    host, port = arguments.listen
    return metrics(state, host, port, arguments.every, _show)


def _upgrade(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.commands.upgrade import make_missing, upgrade

    return (make_missing if arguments.only_missing else upgrade)(state, _show)


def _ui(state: "State", arguments: argparse.Namespace) -> Answer:
    from platform_assets.commands.ui import ui

    answer = ui(state, arguments.port)
    sys.exit(0 if answer["ok"] else 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lakeloom", description="The generative-AI stack as one Dagster asset graph."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON document")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str, run: object, text: str, shared: Sequence[argparse.ArgumentParser] = (common,)
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, parents=shared)
        added.set_defaults(run=run)
        return added

    one = command("ingest", _ingest, "Copy a folder into the lake as a corpus.")
    one.add_argument("folder", type=_path, metavar="DIR")
    one.add_argument("--corpus", required=True, metavar="NAME")
    one.add_argument("--mirror", action="store_true", help="also remove what the folder lacks")
    _for_materialize(
        command("materialize", _materialize, "Materialise assets in the order of the graph.")
    )
    one = command("search", _search, "Search the published index of a corpus.")
    one.add_argument("corpus", metavar="CORPUS")
    one.add_argument("query", metavar="QUERY")
    one.add_argument("--top", type=_positive, default=10, metavar="N")
    one.add_argument("--key-prefix", metavar="PREFIX", help="only documents below this key")
    one.add_argument("--heading", metavar="HEADING", help="only chunks under this heading")
    one = command("trace", _trace, "Verify the provenance chain of the published index.")
    one.add_argument("corpus", metavar="CORPUS")
    one = command("rollback", _rollback, "Serve the index that was served before.")
    one.add_argument("corpus", metavar="CORPUS")
    one.add_argument("--to", metavar="STATE", help="any published state whose index is there")
    one = command("erase", _erase, "Remove a document from everything, its past too; prove it.")
    one.add_argument("corpus", metavar="CORPUS")
    one.add_argument("key", metavar="KEY", help="the document's key within the corpus")
    one.add_argument("--reason", default="", help="kept with the erasure: no personal data here")
    one.add_argument("--lift", action="store_true", help="take the document again")
    one = command("export", _export, "Copy a corpus's tables into another table format.")
    one.add_argument("corpus", metavar="CORPUS")
    one.add_argument("--format", choices=["delta"], default="delta")
    one.add_argument("--to", required=True, metavar="FOLDER_OR_URL")
    one = command("push", _push, "Publish an encoder's checkpoint at the model hub, with its card.")
    one.add_argument("encoder", metavar="ENCODER")
    one.add_argument("--repo", metavar="OWNER/NAME", help="by default the encoder's name")
    one.add_argument("--private", action="store_true", help="if the repository is created now")
    command("status", _status, "Show corpora, encoders and what is published or rejected.")
    command("check", _check, "Run every asset check on every partition.")
    one = command("demo", _demo, "Run the whole graph on the demo corpora or a folder.")
    one.add_argument("--docs", type=_path, metavar="FOLDER", help="your own documents instead")
    command("events", _events, "Receive the webhook by which a bucket tells of uploads.")
    _for_metrics(command("metrics", _metrics, "Serve figures to Prometheus, health to probes."))
    one = command("upgrade", _upgrade, "Take over what an earlier version of Lakeloom wrote.")
    one.add_argument("--only-missing", action="store_true", help="make tables, migrate nothing")
    one = command("ui", _ui, "Open Dagster's UI, with the daemon, on the same state.", shared=())
    one.add_argument("--port", type=int, default=3000)
    return parser


def _for_materialize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", action="append", metavar="C", help="only this one; repeatable")
    parser.add_argument("--encoder", action="append", metavar="E", help="only this one; repeatable")
    parser.add_argument("--select", metavar="SELECTION", help="Dagster's asset selection syntax")
    parser.add_argument(
        "--key", action="append", metavar="K", help="look at this object alone; repeatable"
    )
    parser.add_argument("--as-of", metavar="STATE", help="restore the index of a published state")


def _for_metrics(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", type=_address, default=LISTEN, metavar="HOST:PORT")
    parser.add_argument("--every", type=_positive, default=30, metavar="SECONDS")


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError("HOST:PORT is needed")
    return host.strip("[]"), int(port)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return value
