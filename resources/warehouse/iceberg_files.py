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


def read(
    planned: "DataScan",
    columns: Sequence[str],
    equal: Mapping[str, str],
    within: Mapping[str, Sequence[str]],
) -> pa.Table:
    """Rows of a planned scan.

    Args:
        planned: The scan; its own filter chose the files, and says the same as the two below.
        columns: Columns to read.
        equal: Column -> the value it must have.
        within: Column -> the values it may have.
    """
    import pyarrow.dataset as ds
    from pyiceberg.io.pyarrow import PyArrowFileIO

    tasks = list(planned.plan_files())
    io = planned.io
    evolved = len(planned.table_metadata.schemas) > 1
    if not tasks or evolved or any(task.delete_files for task in tasks):
        return planned.to_arrow()
    if not isinstance(io, PyArrowFileIO):
        return planned.to_arrow()
    located = [io.parse_location(task.file.file_path, io.properties) for task in tasks]
    scheme, netloc, _ = located[0]
    paths = [path for _, _, path in located]
    files = ds.dataset(paths, format="parquet", filesystem=io.fs_by_scheme(scheme, netloc))
    conditions = [pc.field(name) == value for name, value in equal.items()]
    conditions += [pc.field(name).isin(list(values)) for name, values in within.items()]
    return files.to_table(list(columns), filter=reduce(and_, conditions, pc.scalar(True)))
