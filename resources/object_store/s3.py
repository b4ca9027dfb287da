"""S3: what obstore's client lacks, through dagster-aws's S3 resource.

Here: versions, and listing keys that obstore cannot address. Not here: the rest (obstore.py).
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from resources.object_store import ObjectInfo
from resources.object_store.clients import s3_place
from resources.object_store.errors import locked, said, unreachable
from resources.object_store.obstore import ObstoreObjectStore, unaddressable

if TYPE_CHECKING:
    from botocore.client import BaseClient

PAGE = 1000
"""Objects that one call may remove."""


class S3ObjectStore(ObstoreObjectStore):
    """A bucket on AWS, or on another server by `AWS_ENDPOINT_URL`."""

    def __init__(self, url: str) -> None:
        """Open `s3://bucket/prefix`."""
        super().__init__(url)
        parts = urlsplit(url)
        folder = parts.path.strip("/")
        self._bucket, self._folder = parts.netloc, f"{folder}/" if folder else ""

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with `prefix`, streamed.

        Other programs may have stored keys that obstore cannot address; they are left out, with a
        warning. Its listing ends at the first of them, so the rest is listed without it.
        """
        from obstore.exceptions import InvalidPathError

        last = ""
        try:
            for item in super().objects(prefix):
                last = item.key
                if item.size or self._there(item.key):
                    yield item
        except InvalidPathError:
            yield from self._rest(prefix, last)

    def prefixes(self) -> list[str]:
        """First-level prefixes, sorted."""
        from obstore.exceptions import InvalidPathError

        try:
            return super().prefixes()
        except InvalidPathError:
            pages = self._pages("list_objects_v2", "CommonPrefixes", "", Delimiter="/")
            found = (str(item["Prefix"]).removeprefix(self._folder) for item in pages)
            return sorted(name.removesuffix("/") for name in found)

    def versions(self, key: str) -> list[ObjectInfo]:
        """Every stored version of an object, newest first."""
        found = [
            self._item(item) for item in self._exactly("list_object_versions", "Versions", key)
        ]
        return sorted(found, key=lambda item: item.modified, reverse=True)

    def purge(self, key: str) -> None:
        """Remove an object with every version, deletion marker and unfinished upload of it."""
        self.delete(key)
        uploads = self._exactly("list_multipart_uploads", "Uploads", key)
        # Versions first: without its marker, one that is locked would be there again.
        for kind in ("Versions", "DeleteMarkers"):
            self._remove(self._exactly("list_object_versions", kind, key))
        with self._clearly():
            for upload in uploads:
                where = {"Bucket": self._bucket, "Key": upload["Key"]}
                self._s3.abort_multipart_upload(**where, UploadId=upload["UploadId"])

    def forget_past(self, prefix: str) -> int:
        """Remove all but the newest version of every object below `prefix`; returns how many."""
        past = [
            item
            for item in self._pages("list_object_versions", "Versions", prefix)
            if not item["IsLatest"]
        ]
        # Versions first: without its marker, what was deleted would be there again.
        self._remove([*past, *self._pages("list_object_versions", "DeleteMarkers", prefix)])
        return len(past)

    def _remove(self, versions: Sequence[dict[str, Any]]) -> None:
        names = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in versions]
        with self._clearly():
            for start in range(0, len(names), PAGE):
                wanted = {"Objects": names[start : start + PAGE], "Quiet": True}
                answer = self._s3.delete_objects(Bucket=self._bucket, Delete=wanted)
                if failed := answer.get("Errors"):
                    raise locked(self._url, len(failed), str(failed[0].get("Code")))

    def _there(self, key: str) -> bool:
        """False of a marker that consoles make for a folder: obstore drops the slash it ends in."""
        try:
            return bool(self.head(key))
        except FileNotFoundError:
            return False

    def _rest(self, prefix: str, last: str) -> Iterator[ObjectInfo]:
        after = self._folder + last if last else ""
        for item in self._pages("list_objects_v2", "Contents", prefix, StartAfter=after):
            info = self._item(item)
            if not (why := unaddressable(info.key)):
                yield info
            elif info.size:
                logging.getLogger(__name__).warning("%r is left out: it has %s", info.key, why)

    def _exactly(self, call: str, kind: str, key: str) -> list[dict[str, Any]]:
        return [item for item in self._pages(call, kind, key) if item["Key"] == self._folder + key]

    def _pages(self, call: str, kind: str, prefix: str, **more: str) -> Iterator[dict[str, Any]]:
        with self._clearly():
            paginator = self._s3.get_paginator(call)
            for page in paginator.paginate(
                Bucket=self._bucket, Prefix=self._folder + prefix, **more
            ):
                yield from page.get(kind, ())

    def _item(self, item: dict[str, Any]) -> ObjectInfo:
        return ObjectInfo(
            str(item["Key"]).removeprefix(self._folder),
            int(item["Size"]),
            str(item["ETag"]),
            item["LastModified"].astimezone(UTC),
            str(item.get("VersionId", "")),
        )

    @cached_property
    def _s3(self) -> "BaseClient":
        from dagster_aws.s3 import S3Resource

        endpoint, region = s3_place()
        return S3Resource(endpoint_url=endpoint, region_name=region).get_client()

    @contextmanager
    def _clearly(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            status = int(error.response["ResponseMetadata"]["HTTPStatusCode"])
            raise said(self._url, str(error.response["Error"].get("Code")), status) from None
        except BotoCoreError as error:
            raise unreachable(self._url, str(error)) from None
