"""Many writes of different kinds in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lockstore._keys import as_hint
from lockstore._replies import Document, checked
from lockstore._updates import as_replacement, as_update
from lockstore.errors import BulkWriteError
from lockstore.results import BulkWriteResult
from lockstore.values import ObjectId

if TYPE_CHECKING:
    from lockstore._commands import Commands

__all__ = ["DeleteMany", "DeleteOne", "InsertOne", "ReplaceOne", "UpdateMany", "UpdateOne", "bulk_write"]

_Filter = Mapping[str, Any]


@dataclass(frozen=True)
class InsertOne:
    """Inserts a document."""

    document: dict[str, Any]


@dataclass(frozen=True)
class UpdateOne:
    """Updates the first document that matches."""

    filter: _Filter
    update: _Filter | Sequence[_Filter]
    upsert: bool = False
    collation: _Filter | None = None
    array_filters: Sequence[_Filter] | None = None
    hint: Any = None


@dataclass(frozen=True)
class UpdateMany(UpdateOne):
    """Updates all documents that match."""


@dataclass(frozen=True)
class ReplaceOne:
    """Replaces the first document that matches."""

    filter: _Filter
    replacement: _Filter
    upsert: bool = False
    collation: _Filter | None = None
    hint: Any = None


@dataclass(frozen=True)
class DeleteOne:
    """Deletes the first document that matches."""

    filter: _Filter
    collation: _Filter | None = None
    hint: Any = None


@dataclass(frozen=True)
class DeleteMany(DeleteOne):
    """Deletes all documents that match."""


def bulk_write(collection: Commands, requests: Iterable[Any], ordered: bool, options: Document) -> BulkWriteResult:
    """What `Collection.bulk_write` does."""
    statements = [_statement(request) for request in requests]
    if not statements:
        raise ValueError("No operations to execute")
    done: Document = {
        "writeErrors": [],
        "writeConcernErrors": [],
        "nInserted": 0,
        "nUpserted": 0,
        "nMatched": 0,
        "nModified": 0,
        "nRemoved": 0,
        "upserted": [],
    }
    numbered = enumerate(statements)
    for command, run in groupby(numbered, key=lambda item: item[1][0]):
        places, run_statements = zip(*((place, statement) for place, (_, statement) in run))
        head = {command: collection.name, "ordered": ordered} | options
        if command == "insert":
            head.pop("let", None)
        batches = collection._documents.write_batches(head, _FIELDS[command], list(run_statements), ordered)
        for first, reply in batches:
            if reply["ok"] != 1:
                checked(reply)
            _count(done, command, reply, places[first:])
        if ordered and done["writeErrors"]:
            break
    if done["writeErrors"]:
        for error in done["writeErrors"]:
            error["op"] = statements[error["index"]][1]
        raise BulkWriteError(done)
    return BulkWriteResult(done)


def _count(done: Document, command: str, reply: Document, places: Sequence[int]) -> None:
    """Adds what one command has done."""
    upserted = reply.get("upserted", ())
    done["upserted"] += [{"index": places[each["index"]], "_id": each["_id"]} for each in upserted]
    done["writeErrors"] += [error | {"index": places[error["index"]]} for error in reply.get("writeErrors", ())]
    if command == "insert":
        done["nInserted"] += reply["n"]
    elif command == "delete":
        done["nRemoved"] += reply["n"]
    else:
        done["nUpserted"] += len(upserted)
        done["nMatched"] += reply["n"] - len(upserted)
        done["nModified"] += reply["nModified"]


def _statement(request: Any) -> tuple[str, Document]:
    """The command that a request belongs to, and what stands for it there. pymongo's have the same names as ours."""

    def part(name: str, otherwise: Any = None) -> Any:
        return getattr(request, name, getattr(request, f"_{name}", otherwise))

    def selected(statement: Document) -> Document:
        options = {
            "collation": part("collation"),
            "arrayFilters": part("array_filters"),
            "hint": None if part("hint") is None else as_hint(part("hint")),
        }
        return {"q": part("filter")} | statement | {name: value for name, value in options.items() if value is not None}

    kind = type(request).__name__
    for name in ("sort", "namespace"):
        if part(name) is not None:
            raise TypeError(f"{kind} has a {name!r}, which a collection of lockstore does not take")
    if kind == "InsertOne":
        document = part("document", part("doc"))
        if "_id" not in document:
            document["_id"] = ObjectId()
        return "insert", document
    if kind in ("UpdateOne", "UpdateMany"):
        update = as_update(part("update", part("doc")))
        return "update", selected({"u": update, "multi": kind == "UpdateMany", "upsert": bool(part("upsert"))})
    if kind == "ReplaceOne":
        replacement = as_replacement(part("replacement", part("doc")))
        return "update", selected({"u": replacement, "multi": False, "upsert": bool(part("upsert"))})
    if kind in ("DeleteOne", "DeleteMany"):
        return "delete", selected({"limit": 1 if kind == "DeleteOne" else 0})
    raise TypeError(f"{request!r} is not a valid request")


_FIELDS = {"insert": "documents", "update": "updates", "delete": "deletes"}
