"""The keyword arguments that calls of a collection share, and what commands call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from lockstore._keys import as_hint
from lockstore._replies import Document

Filter = Mapping[str, Any]


class Commented(TypedDict, total=False):
    """Of any command."""

    #: What the command is called in logs and profiles.
    comment: Any


class Timed(Commented, total=False):
    """Of a command that may take long."""

    #: How values are compared; the simple one is the only one that there is.
    collation: Mapping[str, Any] | None
    #: At most so many milliseconds at the server, or `ExecutionTimeout`.
    maxTimeMS: int | None


class Counted(Timed, total=False):
    """Of a count."""

    #: An index, by its name or its keys.
    hint: Any


class Aggregated(Counted, total=False):
    """Of a pipeline."""

    #: Values for the variables of the pipeline.
    let: Mapping[str, Any] | None
    #: Whether what is larger than memory may go by a temporary file.
    allowDiskUse: bool | None


class Bulk(Commented, total=False):
    """Of many writes."""

    #: Values for the variables of filters and updates.
    let: Mapping[str, Any] | None


class Selected(Bulk, total=False):
    """Of a write to the documents that match a filter."""

    #: How values are compared; the simple one is the only one that there is.
    collation: Mapping[str, Any] | None
    #: An index, by its name or its keys.
    hint: Any


class Updated(Selected, total=False):
    """Of an update."""

    #: Which items of arrays ``$[name]`` means.
    array_filters: Sequence[Filter] | None


class Found(Selected, total=False):
    """Of a write that gives the document."""

    #: At most so many milliseconds at the server, or `ExecutionTimeout`.
    maxTimeMS: int | None


class FoundAndUpdated(Found, total=False):
    """Of an update that gives the document."""

    #: Which items of arrays ``$[name]`` means.
    array_filters: Sequence[Filter] | None


def given(options: Mapping[str, Any], taken: type) -> Document:
    """The options that were given, under the names that commands have for them. Others than those that are taken are refused."""
    command: Document = {}
    for name, value in options.items():
        if name not in taken.__annotations__:
            raise TypeError(f"unexpected keyword argument {name!r}; these are taken: {', '.join(taken.__annotations__)}")
        if value is not None:
            command[_COMMANDS_NAMES.get(name, name)] = as_hint(value) if name == "hint" else value
    return command


_COMMANDS_NAMES = {"array_filters": "arrayFilters"}
