"""Prints the standard library's pages, as pydoc writes them, with the modules' summaries.

Here: a script that demo.py runs in a process of its own, because it imports every module it
documents, some of which print or act on import. It imports the standard library only.
Not here: anything that another module imports.

Standard output gets a JSON object a line: `module`, `page` (HTML), `summary` and `members`: the
first sentences of the docstrings of the module and of the classes and functions it defines.
"""

import importlib
import inspect
import json
import os
import pkgutil
import pydoc
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

_ACTING = {"antigravity", "idlelib", "this", "tkinter", "turtle", "turtledemo"}
_PASSING = {"distutils", "lib2to3", "nt", "ntpath", "posix"}  # of older Pythons or one system
_TABLES = {"email.mime", "encodings", "ensurepip", "pydoc_data", "test", "tests"}
_LEFT_OUT = _ACTING | _PASSING | _TABLES
_ADDRESS = re.compile(r"(?: |&nbsp;)at(?: |&nbsp;)0x[0-9a-fA-F]+")
_FILE_LINK = re.compile(r'<a href="file:[^"]*">[^<]*</a>(<br>)?')
_SENTENCE = re.compile(r".+?(?:[.!?](?=\s)|$)")
_SIGNATURE = re.compile(r"[\w.]+\s?\(|.*->")


class _Pages(pydoc.HTMLDoc):
    """pydoc's pages without the values of constants, which tell of this machine."""

    def docother(self, _value: object, name: str | None = None, *_: object) -> str:
        return f"<strong>{name}</strong>" if name else ""


def _no_comments(*_: object, **__: object) -> None:
    """In place of pydoc's search for comments where docstrings lack: no prose, half the time."""


def main() -> None:
    """Write one line for each module that can be imported here."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as output:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # modules may print
        inspect.getcomments = _no_comments
        for module in _modules(sys.stdlib_module_names):
            line = {
                "module": module.__name__,
                "page": _page(module),
                "summary": _summary(module),
                "members": _members(module),
            }
            print(json.dumps(line), file=output)


def _modules(names: Iterable[str]) -> Iterator[ModuleType]:
    """Public modules and, after each package, those in it; by name."""
    for name in sorted(names):
        last = name.rpartition(".")[2]
        if name in _LEFT_OUT or last in _LEFT_OUT or last.startswith("_"):
            continue
        try:
            module = importlib.import_module(name)
        except ImportError:  # of another operating system, or built without its library
            continue
        yield module
        inside = pkgutil.iter_modules(getattr(module, "__path__", ()))
        yield from _modules(f"{name}.{each.name}" for each in inside)


def _page(module: ModuleType) -> str:
    pages = _Pages()
    page = pages.page(pydoc.describe(module), pages.document(module, module.__name__))
    for here in filter(None, (sys.executable, str(Path(os.__file__).parent), str(Path.cwd()))):
        page = page.replace(here, "")
    return _ADDRESS.sub("", _FILE_LINK.sub("", page))


def _members(module: ModuleType) -> list[str]:
    members = [
        value
        for name, value in sorted(vars(module).items())
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isroutine(value))
        and getattr(value, "__module__", None) == module.__name__
        and pydoc.visiblename(name, getattr(module, "__all__", None), module)
    ]
    return [text for text in map(_summary, members) if text]


def _summary(value: object) -> str:
    """First sentence of a docstring; empty where there is none or it is a signature."""
    text = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    paragraph = " ".join(str(text or "").strip().partition("\n\n")[0].split())
    sentence = _SENTENCE.match(paragraph)
    return "" if not sentence or _SIGNATURE.match(sentence[0]) else sentence[0]


if __name__ == "__main__":
    main()
