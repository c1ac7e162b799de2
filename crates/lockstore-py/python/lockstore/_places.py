"""Where stores are: paths of files, and addresses of replica sets."""

from __future__ import annotations

import os

__all__ = ["absolute", "is_replica_set"]


def is_replica_set(path: str | os.PathLike[str]) -> bool:
    """Whether it is an address, and not a path."""
    return isinstance(path, str) and path.startswith(("mongodb://", "mongodb+srv://"))


def absolute(path: str | os.PathLike[str]) -> str:
    """The same store for a process in another folder. An address is the same everywhere."""
    return os.fspath(path) if is_replica_set(path) else os.path.abspath(os.fspath(path))
