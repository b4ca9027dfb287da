"""Branches of an Iceberg table: rows are written aside, examined, and then shown to readers.

Here: beginning, publishing and dropping a branch, one attempt each. Not here: what is examined
(the artefact folders in platform_assets), who tries again (iceberg.py).
"""

from typing import TYPE_CHECKING

from resources.warehouse import MAIN

if TYPE_CHECKING:
    from pyiceberg.table import Table


def begun(iceberg: "Table", branch: str) -> "Table":
    """The table with a branch, which begins at the current snapshot if it is new."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    if branch == MAIN or branch in iceberg.metadata.refs:
        return iceberg
    if iceberg.current_snapshot() is None:  # a branch has to begin somewhere
        iceberg.append(schema_to_pyarrow(iceberg.schema()).empty_table())
    head = iceberg.current_snapshot()
    assert head is not None
    iceberg.manage_snapshots().create_branch(head.snapshot_id, branch).commit()
    return iceberg


def publish(iceberg: "Table", branch: str) -> bool:
    """Make the head of a branch the current snapshot, if the branch goes on from the present one.

    Tables are shared by corpora, so a branch that does not would take back others' commits.

    Raises:
        CommitFailedException: somebody commits at this moment.
    """
    from pyiceberg.table.snapshots import ancestors_of

    staged, head = iceberg.snapshot_by_name(branch), iceberg.current_snapshot()
    ids = {snapshot.snapshot_id for snapshot in ancestors_of(staged, iceberg.metadata)}
    if head is not None and head.snapshot_id not in ids:
        return False
    iceberg.manage_snapshots().set_current_snapshot(ref_name=branch).remove_branch(branch).commit()
    return True


def drop(iceberg: "Table", branch: str) -> None:
    """Remove a branch if it is there."""
    if branch in iceberg.metadata.refs:
        iceberg.manage_snapshots().remove_branch(branch).commit()
