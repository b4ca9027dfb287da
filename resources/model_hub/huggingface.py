"""The Hugging Face hub, or a mirror that speaks its HTTP API.

Here: which files of a repository are brought, their verification, and publishing. The transport
is the hub's own client.
Not here: what goes wrong at a hub (huggingface_errors.py), what a model's folder may hold
(resources/encoding).
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from resources.contained import inside
from resources.encoding.checkpoint import PICKLES, refuse_unsafe
from resources.model_hub import PINNED, ModelCard, ModelHub, Origin, Published
from resources.model_hub.huggingface_errors import explained
from resources.process_lock import alone
from resources.settings import UsageError, redacted

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PUBLIC = "https://huggingface.co"
READ = {".safetensors", ".json", ".txt", ".model"}
"""Suffixes of weights, configurations and tokenizers."""
CARD = "README.md"
TERMS = {CARD, "LICENSE", "NOTICE"}
_LICENCE = re.compile(r"[\w.+-]{1,64}", re.ASCII)
_CLIENTS_OWN = ".cache"
"""Where the client keeps its notes on a folder."""


class HuggingFaceHub:
    """A hub by its endpoint; models without an owner are those that packages carry."""

    def __init__(self, url: str, cache: Path, packages: ModelHub) -> None:
        """Open a hub.

        Args:
            url: `huggingface://` for the public hub, or what HF_ENDPOINT names instead of it; the
                `https://` endpoint of a mirror.
            cache: Folder for models that were brought.
            packages: The hub of models that are named without an owner.

        Raises:
            UsageError: the URL names no endpoint, or holds credentials.
        """
        self._endpoint = _endpoint(url)
        self._cache = cache
        self._packages = packages

    def fetch(self, model: str) -> Path:
        """Folder of the named model, `owner/name@commit`, every file verified by digest.

        Only weights as safetensors, JSON, tokenizers and the terms of use are brought.

        Raises:
            LookupError: the hub has no such model or commit.
            ValueError: the name is no pinned one, a file differs from the digest that the hub
                lists, or the model is unsafe to read.
            PermissionError: the hub does not show the model to this user.
            ConnectionError: the hub does not answer.
        """
        if "/" not in model:
            return self._packages.fetch(model)
        repo, commit = _pinned(model)
        folder = self._cache / repo.replace("/", "--") / commit
        with alone(folder.with_suffix(".lock")):  # gigabytes are brought once, not by each process
            if not folder.is_dir():
                self._settle(repo, commit, folder)
        return folder

    def origin(self, model: str) -> Origin:
        """Whose the named model is, by its card."""
        if "/" not in model:
            return self._packages.origin(model)
        repo, _ = _pinned(model)
        return Origin(repo, _licence(self.fetch(model) / CARD))

    def publish(
        self, folder: Path, repo: str, card: Callable[[str], ModelCard], *, private: bool
    ) -> Published:
        """Publish a folder as one commit; a folder that is there already is no new commit.

        Raises:
            UsageError: it is to be private, and the repository is there and public.
            ValueError: the folder is unsafe to read.
            PermissionError: the hub refuses the token.
            ConnectionError: the hub does not answer.
        """
        from huggingface_hub import CommitOperationAdd

        refuse_unsafe(folder)
        api = self._client()
        with explained(repo, self._endpoint):
            full = api.create_repo(repo, private=private or None, exist_ok=True).repo_id
            if private and not api.model_info(full).private:
                raise UsageError(
                    f"{full} is there already and public: make it private at the hub, name another "
                    "repository, or leave out --private"
                )
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            operations = [
                CommitOperationAdd(path.relative_to(folder).as_posix(), path)
                for path in files
                if path != folder / CARD
            ]
            operations.append(CommitOperationAdd(CARD, _rendered(card(full)).encode()))
            made = api.create_commit(full, operations, commit_message="Published by Lakeloom")
        return Published(full, made.oid, f"{self._endpoint}/{full}")

    def _settle(self, repo: str, commit: str, folder: Path) -> None:
        """Bring a model to a folder, which appears whole and safe to read or not at all."""
        scratch = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            with explained(f"{repo} at {commit}", self._endpoint):
                self._bring(repo, commit, scratch)
            refuse_unsafe(scratch)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _bring(self, repo: str, commit: str, folder: Path) -> None:
        from huggingface_hub.hf_api import RepoFile

        api = self._client()
        tree = api.list_repo_tree(repo, recursive=True, revision=commit)
        names = [item.path for item in tree if isinstance(item, RepoFile)]
        for name in _wanted(repo, names):
            inside(folder, name)
            api.hf_hub_download(repo, name, revision=commit, local_dir=folder)
        found = api.verify_repo_checksums(repo, revision=commit, local_dir=folder)
        if found.mismatches:
            first = found.mismatches[0]
            raise ValueError(
                f"{repo} at {commit}: {first['path']} is not the file that the hub lists "
                f"({first['algorithm']} {first['actual']}, not {first['expected']}): try again, or "
                "bring it from another mirror"
            )
        shutil.rmtree(folder / _CLIENTS_OWN, ignore_errors=True)

    def _client(self) -> "HfApi":
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
        # False: a token that somebody's login left on this machine is not taken.
        token = os.environ.get("HF_TOKEN") or False
        return HfApi(endpoint=self._endpoint, token=token, library_name="lakeloom")


def _endpoint(url: str) -> str:
    variable, endpoint = "LAKELOOM_HUB", url
    if urlsplit(url).scheme == "huggingface":
        if url != "huggingface://":
            raise UsageError(
                f"LAKELOOM_HUB={redacted(url)!r}: huggingface:// stands alone; a mirror is given "
                "by its https:// endpoint, a model by the base of a recipe"
            )
        variable, endpoint = "HF_ENDPOINT", os.environ.get("HF_ENDPOINT") or PUBLIC
    if "@" in urlsplit(endpoint).netloc:  # the client would log it
        raise UsageError(f"{variable}={redacted(endpoint)!r} holds credentials: set HF_TOKEN")
    return endpoint.rstrip("/")


def _pinned(model: str) -> tuple[str, str]:
    found = PINNED.fullmatch(model)
    if found is None:
        raise ValueError(
            f"base: {model!r} is not pinned: write owner/name@ and the 40 hex digits of a commit"
        )
    return found["repo"], found["commit"]


def _wanted(repo: str, names: Sequence[str]) -> list[str]:
    """Files to bring.

    Raises:
        ValueError: there are no weights that can be read without running code.
    """
    wanted = [n for n in names if n in TERMS or PurePosixPath(n).suffix.lower() in READ]
    if not any(name.endswith(".safetensors") for name in wanted):
        pickles = [name for name in names if PurePosixPath(name).suffix.lower() in PICKLES]
        there = f"only {pickles[0]}, which may be a pickle and" if pickles else "none, and a pickle"
        raise ValueError(
            f"{repo} has no weights as .safetensors ({there} runs code when it is read): choose a "
            "commit or a model that has them"
        )
    return wanted


def _licence(card: Path) -> str:
    """What a model's card declares; anything but one identifier is unknown."""
    from huggingface_hub import metadata_load

    try:
        declared = (metadata_load(card) or {}).get("license") if card.is_file() else None
    except Exception:  # noqa: BLE001 - whatever a stranger wrote there that is no metadata
        declared = None
    named = isinstance(declared, str) and _LICENCE.fullmatch(declared)
    return str(declared) if named else "unknown"


def _rendered(card: ModelCard) -> str:
    from huggingface_hub import ModelCardData

    metadata = ModelCardData(
        base_model=card.base,
        license=card.licence,
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=list(card.tags),
    )
    return f"---\n{metadata.to_yaml()}\n---\n\n{card.text}"
