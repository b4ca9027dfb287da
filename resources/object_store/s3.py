"""S3: what obstore's client lacks, versions, through dagster-aws's S3 resource.

Here: listing and removing versions. Not here: reading and writing (obstore.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from resources.object_store import ObjectInfo
from resources.object_store.clients import s3_place
from resources.object_store.errors import refused, unreachable
from resources.object_store.obstore import ObstoreObjectStore

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
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")

    def versions(self, key: str) -> list[ObjectInfo]:
        """Every stored version of an object, newest first."""
        found = [_version(key, item) for item in self._listed(key, "Versions")]
        return sorted(found, key=lambda item: item.modified, reverse=True)

    def purge(self, key: str) -> None:
        """Remove an object with every version, deletion marker and unfinished upload of it."""
        self.delete(key)
        listed = [*self._listed(key, "Versions"), *self._listed(key, "DeleteMarkers")]
        names = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in listed]
        with self._clearly():
            for start in range(0, len(names), PAGE):
                batch = {"Objects": names[start : start + PAGE], "Quiet": True}
                answer = self._s3.delete_objects(Bucket=self._bucket, Delete=batch)
                if failed := answer.get("Errors"):
                    code, left = failed[0].get("Code"), len(failed)
                    raise PermissionError(f"{left} versions of {key!r} cannot be removed: {code}")
            for upload in self._uploads(key):
                where = {"Bucket": self._bucket, "Key": upload["Key"]}
                self._s3.abort_multipart_upload(**where, UploadId=upload["UploadId"])

    def _listed(self, key: str, kind: str) -> list[dict[str, Any]]:
        return self._pages("list_object_versions", kind, key)

    def _uploads(self, key: str) -> list[dict[str, Any]]:
        return self._pages("list_multipart_uploads", "Uploads", key)

    def _pages(self, call: str, kind: str, key: str) -> list[dict[str, Any]]:
        whole = f"{self._prefix}/{key}" if self._prefix else key
        with self._clearly():
            pages = self._s3.get_paginator(call).paginate(Bucket=self._bucket, Prefix=whole)
            return [item for page in pages for item in page.get(kind, ()) if item["Key"] == whole]

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
            raise refused(self._url, str(error.response["Error"].get("Code"))) from None
        except BotoCoreError as error:
            raise unreachable(self._url, str(error)) from None


def _version(key: str, item: dict[str, Any]) -> ObjectInfo:
    version, etag = str(item["VersionId"]), str(item["ETag"])
    return ObjectInfo(key, int(item["Size"]), etag, item["LastModified"], version)
