"""The ways in which keys, projections and hints are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Document = dict[str, Any]


def as_document(keys: Any, direction: Any = 1) -> Document:
    """Keys and their directions: a name, a list of names and of pairs, or a mapping."""
    if isinstance(keys, str):
        return {keys: direction}
    if isinstance(keys, Mapping):
        return dict(keys)
    return dict((key, 1) if isinstance(key, str) else key for key in keys)


def as_hint(hint: Any) -> str | Document:
    """An index, by its name or by its keys."""
    return hint if isinstance(hint, str) else as_document(hint)


def as_projection(projection: Mapping[str, Any] | Iterable[str]) -> Document:
    """The fields that are wanted: a mapping, or names."""
    return dict(projection) if isinstance(projection, Mapping) else dict.fromkeys(projection, 1)


def index_name(keys: Document) -> str:
    """What an index is called that was given no name."""
    return "_".join(f"{key}_{direction}" for key, direction in keys.items())
