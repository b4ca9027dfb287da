"""One commit to an Iceberg table beside other writers.

Here: a removal and an addition in one transaction, what makes it fail when somebody interferes,
and how long it is tried again. Not here: which rows (iceberg.py).
"""

import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.warehouse.catalog_faults import is_passing
from resources.warehouse.iceberg_creation import complete_properties
from resources.warehouse.iceberg_slices import data_files

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from tenacity import Retrying

PATIENCE_SECONDS = 300
"""How long a commit is tried again while other writers are first."""


def commit(
    iceberg: "Table",
    claimed: "BooleanExpression | None",
    removed: "BooleanExpression | None",
    added: pa.Table,
    group: str,
    branch: str,
) -> str | None:
    """Commit a removal and an addition; returns the snapshot they were put upon in the end.

    Args:
        iceberg: The table.
        claimed: Rows that nobody else may add meanwhile.
        removed: Rows to remove.
        added: Rows to add.
        group: The column that is bucketed.
        branch: Where to.
    """
    from resources.warehouse.iceberg_transaction import KnowingTransaction

    before = _snapshots(iceberg.metadata)
    transaction = KnowingTransaction(iceberg)
    with transaction:
        complete_properties(transaction)
        if claimed:
            _claim(transaction, claimed, branch)
        if removed:
            _delete(transaction, removed, branch)
        if added.num_rows:
            files = data_files(transaction.table_metadata, iceberg.io, added, group)
            transaction.add(files, branch)
        made = _snapshots(transaction.table_metadata) - before
    return _parent(iceberg.metadata, made, branch)


def _snapshots(metadata: "TableMetadata") -> set[int]:
    return {snapshot.snapshot_id for snapshot in metadata.snapshots}


def _parent(metadata: "TableMetadata", made: Collection[int], branch: str) -> str | None:
    """The snapshot under those that a commit made: pyiceberg moves them if another was first."""
    head = metadata.snapshot_by_name(branch)
    parent = head.snapshot_id if head else None
    while parent is not None and parent in made:
        snapshot = metadata.snapshot_by_id(parent)
        parent = snapshot.parent_snapshot_id if snapshot else None
    return None if parent is None else str(parent)


def _claim(transaction: "Transaction", rows: "BooleanExpression", branch: str) -> None:
    """Make the commit fail if somebody adds such rows meanwhile; an append alone would not."""
    with transaction.update_snapshot(branch=branch).delete() as deletion:
        deletion.delete_by_predicate(rows)


def _delete(transaction: "Transaction", rows: "BooleanExpression", branch: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Delete operation did not match any records")
        transaction.delete(rows, branch=branch)


def until_nobody_interferes() -> "Retrying":
    """Attempts at a commit, for as long as other writers are first or the catalog breaks off.

    A commit of which nobody knows whether it was made is made again: it replaces its own rows.
    pyiceberg 0.12 also reports a conflict where there is none ("Missing required files to delete"),
    about once in a thousand overwrites: threads share one evaluator of manifests.
    """
    from pyiceberg.exceptions import CommitFailedException, ValidationException
    from tenacity import (
        Retrying,
        retry_if_exception,
        retry_if_exception_type,
        stop_after_delay,
        wait_random_exponential,
    )

    conflict = retry_if_exception_type((CommitFailedException, ValidationException))
    return Retrying(
        retry=conflict | retry_if_exception(is_passing),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_after_delay(PATIENCE_SECONDS),
        reraise=True,
    )
