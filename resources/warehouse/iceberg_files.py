"""Reading the files of a planned Iceberg scan at once.

Here: a table's plain data files as one Arrow dataset, several times as fast as pyiceberg, which
reads them one by one in Python. Not here: which files those are (iceberg.py asks pyiceberg).
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from pyiceberg.table import DataScan
    from pyiceberg.table.metadata import TableMetadata


def read(
    planned: "DataScan",
    schema: pa.Schema,
    columns: Sequence[str],
    equal: Mapping[str, str],
    within: Mapping[str, Sequence[str]],
) -> pa.Table:
    """Rows of a planned scan.

    Args:
        planned: The scan; its own filter chose the files, and says the same as the two below.
        schema: All columns of the table; null in files that were written before there was one.
        columns: Columns to read.
        equal: Column -> the value it must have.
        within: Column -> the values it may have.
    """
    import pyarrow.dataset as ds
    from pyiceberg.io.pyarrow import ArrowScan, PyArrowFileIO

    tasks = list(planned.plan_files())
    io, metadata = planned.io, planned.table_metadata
    plain = not any(task.delete_files for task in tasks) and _has_only_grown(metadata)
    if not tasks or not plain or not isinstance(io, PyArrowFileIO):
        projected = metadata.schema().select(*columns)
        return ArrowScan(metadata, io, projected, planned.row_filter).to_table(tasks)
    located = [io.parse_location(task.file.file_path, io.properties) for task in tasks]
    scheme, netloc, _ = located[0]
    paths = [path for _, _, path in located]
    system = io.fs_by_scheme(scheme, netloc)
    files = ds.dataset(paths, schema=schema, format="parquet", filesystem=system)
    conditions = [pc.field(name) == value for name, value in equal.items()]
    conditions += [pc.field(name).isin(list(values)) for name, values in within.items()]
    return files.to_table(list(columns), filter=reduce(and_, conditions, pc.scalar(True)))


def _has_only_grown(metadata: "TableMetadata") -> bool:
    """Whether columns were added and nothing else, so that they can be told by their names."""
    now = {field.name: (field.field_id, field.field_type) for field in metadata.schema().fields}
    earlier = (field for schema in metadata.schemas for field in schema.fields)
    return all(now.get(each.name) == (each.field_id, each.field_type) for each in earlier)
