"""Updates and replacements, and what tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def as_update(update: Any) -> Any:
    """Checks that an update is one, as pymongo does: MongoDB would take it for a replacement."""
    if isinstance(update, Mapping):
        if not update:
            raise ValueError("update cannot be empty")
        if not next(iter(update)).startswith("$"):
            raise ValueError("update only works with $ operators")
        return update
    if isinstance(update, list | tuple):
        return list(update)
    raise TypeError(f"an update is a mapping or a list of stages; this one is a {type(update).__name__}")


def as_replacement(replacement: Any) -> Any:
    """Checks that a replacement is one, as pymongo does: MongoDB would take it for an update."""
    if not isinstance(replacement, Mapping):
        raise TypeError(f"a replacement is a mapping; this one is a {type(replacement).__name__}")
    if replacement and next(iter(replacement)).startswith("$"):
        raise ValueError("replacement can not include $ operators")
    return replacement
