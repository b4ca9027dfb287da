"""Names of files that others chose: where they may lead.

Here: the one function. Not here: what may lie in a model's folder (resources/encoding).
"""

from pathlib import Path, PurePosixPath


def inside(folder: Path, name: str) -> Path:
    """The path that a relative name has below a folder.

    Raises:
        ValueError: the name is absolute, climbs out of the folder or is none.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or {"\\", "\0"} & set(name):
        raise ValueError(f"{name!r} is no file's name that stays within {folder}")
    return folder / path
