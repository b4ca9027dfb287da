"""AWS Glue's Data Catalog.

Here: opening it. Its tables lie in the lake, which has to be on S3; credentials, region and
endpoint come from AWS's own variables. Not here: tables and commits (iceberg.py).
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from resources.settings import UsageError
from resources.warehouse.catalog_faults import NAMESPACE, VARIABLE, patiently
from resources.warehouse.object_io import file_properties

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog


def open_glue_catalog(url: str, warehouse: str) -> "Catalog":
    """The account's own catalog, or another account's.

    Args:
        url: `glue://`, or `glue://ACCOUNT`.
        warehouse: Location in the lake.

    Raises:
        UsageError: the lake is not on S3.
        ConnectionError: Glue did not answer in time.
        PermissionError: it does not take the credentials.
    """
    from pyiceberg.catalog.glue import GlueCatalog

    if not warehouse.startswith("s3:"):
        raise UsageError(f"{VARIABLE}=glue:// needs a lake on S3: set LAKELOOM_LAKE=s3://BUCKET")
    account = urlsplit(url).netloc
    properties = {"uri": url, "warehouse": warehouse, **file_properties(warehouse)}
    properties |= {"glue.id": account} if account else {}

    def opened() -> "Catalog":
        catalog = GlueCatalog(NAMESPACE, **properties)
        catalog.create_namespace_if_not_exists(NAMESPACE)
        return catalog

    return patiently(opened, properties)
