"""Checkpoints in the lake, content-addressed, and a local cache to load them from.

Here: putting, verifying and loading checkpoint folders. Not here: making them.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from platform_assets.provenance import PREFIX, Record, canonical, sha256_text
from resources.contained import inside
from resources.digests import sha256_file
from resources.encoding import Encoder, EncodingBackend
from resources.object_store import ObjectStore
from resources.settings import VARIABLES, UsageError
from resources.training import STAGING

MANIFEST = "manifest.json"


class CheckpointStore:
    """Checkpoint folders by digest: the sha256 of the manifest of their files' sha256."""

    def __init__(self, lake: ObjectStore, cache: Path, backend: EncodingBackend) -> None:
        self._lake = lake
        self._cache = cache
        self._backend = backend

    @property
    def scratch(self) -> Path:
        """Folder for unfinished trainings; a killed one is taken up again from here."""
        return self._cache / "training"

    def clean(self, training: str) -> None:
        """Remove what unfinished trainings left, whichever engine had them: here, and in the lake.

        Args:
            training: Asset and recipe (`TrainingJob.name`).
        """
        shutil.rmtree(self.scratch / training, ignore_errors=True)
        for found in list(self._lake.objects(f"{STAGING}/{training}/")):
            self._lake.purge(found.key)

    def put(self, folder: Path) -> str:
        """Store a folder; returns its digest. Files already there are not written again."""
        manifest = manifest_of(folder)
        digest = sha256_text(canonical(manifest))
        prefix = f"{PREFIX}/checkpoints/{digest}"
        if self._manifest(digest) is None:
            for name in manifest:
                self._lake.put(f"{prefix}/{name}", folder / name)
            self._lake.put(f"{prefix}/{MANIFEST}", canonical(manifest).encode())
        return digest

    def folder(self, digest: str) -> Path:
        """A local copy of a checkpoint.

        Raises:
            LookupError: the lake has no such checkpoint.
            ValueError: a file in the lake is not the one that was stored, or leads out of the
                checkpoint's folder.
        """
        local = self._cache / digest
        if local.is_dir():
            return local
        manifest = self._manifest(digest)
        if manifest is None:
            raise LookupError(f"the lake holds no checkpoint {digest}: materialise checkpoints")
        self._cache.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=self._cache))
        try:
            for name, sha256 in manifest.items():
                target = scratch / name
                target.parent.mkdir(parents=True, exist_ok=True)
                self._lake.download(f"{PREFIX}/checkpoints/{digest}/{name}", target)
                if sha256_file(target) != sha256:
                    raise ValueError(f"checkpoint {digest}: {name} in the lake was altered")
            with suppress(OSError):  # another process was first
                scratch.rename(local)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return local

    def broken(self, digest: str) -> str | None:
        """What is wrong with a checkpoint in the lake; None if every byte is as stored."""
        try:
            manifest = self._manifest(digest)
        except ValueError as error:
            return str(error)
        if manifest is None:
            return f"checkpoint {digest[:12]} is not in the lake"
        for name, sha256 in manifest.items():
            try:
                found = self._lake.sha256(f"{PREFIX}/checkpoints/{digest}/{name}")
            except FileNotFoundError:
                return f"checkpoint {digest[:12]} lacks {name}"
            if found != sha256:
                return f"{name} of checkpoint {digest[:12]} was altered"
        return None

    def listing(self, digest: str) -> str:
        """Digest of what the lake lists of a checkpoint's files, until somebody writes to them."""
        found = self._lake.objects(f"{PREFIX}/checkpoints/{digest}/")
        told = sorted((each.key, each.size, each.etag, str(each.modified)) for each in found)
        return sha256_text(canonical(told))

    def encoder_digest(self, digest: str) -> str:
        """The encoder digest (weights, tokenizer, pooling, precision, backend) of a checkpoint."""
        return self._backend.digest(self.folder(digest))

    def dimensions(self, record: Record) -> int:
        """Length of the vectors of a `checkpoints` record's encoder."""
        config = json.loads((self.folder(record.details["checkpoint"]) / "config.json").read_text())
        return int(config["hidden_size"])

    def load(self, record: Record) -> Encoder:
        """The encoder of a `checkpoints` record, on this process's engine, whichever it was."""
        return self._backend.load(self.folder(record.details["checkpoint"]))

    def load_same(self, record: Record) -> Encoder:
        """Like `load`, for vectors that are kept under the record's encoder digest.

        Raises:
            UsageError: another engine, or this one in another precision, made the record.
        """
        encoder = self.load(record)
        if encoder.digest != record.details["encoder_digest"]:
            raise UsageError(_of_another_engine(record))
        return encoder

    def unfit(self, record: Record) -> str | None:
        """Why vectors cannot be kept under a `checkpoints` record's encoder digest; None if so.

        Of a checkpoint that is not on this machine nothing is said: it would have to be brought.
        """
        digest = record.details["checkpoint"]
        if not (self._cache / digest).is_dir():
            return None
        try:
            found = self.encoder_digest(digest)
        except (LookupError, ValueError, OSError) as error:
            return str(error)
        return None if found == record.details["encoder_digest"] else _of_another_engine(record)

    def _manifest(self, digest: str) -> Mapping[str, str] | None:
        try:
            data = self._lake.get(f"{PREFIX}/checkpoints/{digest}/{MANIFEST}")
        except FileNotFoundError:
            return None
        manifest: dict[str, str] = json.loads(data)
        if sha256_text(canonical(manifest)) != digest:
            raise ValueError(f"the manifest of checkpoint {digest[:12]} was altered")
        for name in manifest:
            inside(self._cache / digest, name)
        return manifest


def _of_another_engine(record: Record) -> str:
    return (
        f"{record.partition} was recorded for another engine or precision than "
        f"{VARIABLES['encoding']} and this processor give: materialise checkpoints of it, and what "
        f"follows embeds anew; on machines of several kinds set "
        f"{VARIABLES['encoding']}=openvino://f32 for all of them"
    )


def manifest_of(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
