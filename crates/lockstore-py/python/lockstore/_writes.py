"""What is written to a collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lockstore._commands import Commands
from lockstore._keys import as_document, as_projection
from lockstore._options import Bulk, Commented, Filter, Found, FoundAndUpdated, Selected, Updated, given
from lockstore._replies import Document, checked
from lockstore._updates import as_replacement, as_update
from lockstore.bulk import bulk_write
from lockstore.errors import BulkWriteError
from lockstore.results import BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult
from lockstore.values import ObjectId

if TYPE_CHECKING:
    from typing_extensions import Unpack

Update = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class ReturnDocument:
    """Which document a ``find_one_and_...`` gives."""

    BEFORE = False
    AFTER = True


class Writes(Commands):
    """The calls that change documents. Each change is durable when the call returns."""

    def insert_one(self, document: dict[str, Any], **options: Unpack[Commented]) -> InsertOneResult:
        """Inserts a document. One that has no ``_id`` is given one, in place.

        Raises `DuplicateKeyError`.
        """
        _identify(document)
        self._run({"insert": self._name, "documents": [document]} | given(options, Commented))
        return InsertOneResult(document["_id"])

    def insert_many(
        self, documents: Iterable[dict[str, Any]], ordered: bool = True, **options: Unpack[Commented]
    ) -> InsertManyResult:
        """Inserts documents, each at once or not at all. Those that have no ``_id`` are given one, in place.

        Raises `BulkWriteError`; the documents before the first that failed are inserted then, and if it is not ``ordered``, those
        behind it too.
        """
        documents = list(documents)
        if not documents:
            raise TypeError("documents must be a non-empty list")
        for document in documents:
            _identify(document)
        head = {"insert": self._name, "ordered": ordered} | given(options, Commented)
        self._write_many(head, "documents", documents, "nInserted")
        return InsertManyResult([document["_id"] for document in documents])

    def update_one(
        self, filter: Filter, update: Update, upsert: bool = False, **options: Unpack[Updated]
    ) -> UpdateResult:
        """Updates the first document that matches: by operators, or by the stages of a pipeline."""
        statement = {"u": as_update(update), "multi": False, "upsert": upsert}
        return self._update(filter, statement, given(options, Updated))

    def update_many(
        self, filter: Filter, update: Update, upsert: bool = False, **options: Unpack[Updated]
    ) -> UpdateResult:
        """Updates all documents that match, each at once or not at all."""
        statement = {"u": as_update(update), "multi": True, "upsert": upsert}
        return self._update(filter, statement, given(options, Updated))

    def replace_one(
        self, filter: Filter, replacement: Mapping[str, Any], upsert: bool = False, **options: Unpack[Selected]
    ) -> UpdateResult:
        """Replaces the first document that matches, except for its ``_id``."""
        statement = {"u": as_replacement(replacement), "multi": False, "upsert": upsert}
        return self._update(filter, statement, given(options, Selected))

    def delete_one(self, filter: Filter, **options: Unpack[Selected]) -> DeleteResult:
        """Deletes the first document that matches."""
        return self._delete(filter, {"limit": 1}, given(options, Selected))

    def delete_many(self, filter: Filter, **options: Unpack[Selected]) -> DeleteResult:
        """Deletes all documents that match."""
        return self._delete(filter, {"limit": 0}, given(options, Selected))

    def bulk_write(self, requests: Iterable[Any], ordered: bool = True, **options: Unpack[Bulk]) -> BulkWriteResult:
        """Does many writes: ``InsertOne``, ``UpdateOne``, ``UpdateMany``, ``ReplaceOne``, ``DeleteOne`` and ``DeleteMany``, ours or
        pymongo's. Those of a kind that follow each other are sent at once.

        Raises `BulkWriteError`, whose ``details`` tell what was done.
        """
        return bulk_write(self, requests, ordered, given(options, Bulk))

    def find_one_and_update(
        self,
        filter: Filter,
        update: Update,
        projection: Any = None,
        sort: Any = None,
        upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE,
        **options: Unpack[FoundAndUpdated],
    ) -> Document | None:
        """Updates the first document that matches, and gives it as it was before, or is after."""
        change = {"update": as_update(update), "new": return_document, "upsert": upsert}
        return self._find_and_modify(filter, projection, sort, change | given(options, FoundAndUpdated))

    def find_one_and_replace(
        self,
        filter: Filter,
        replacement: Mapping[str, Any],
        projection: Any = None,
        sort: Any = None,
        upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE,
        **options: Unpack[Found],
    ) -> Document | None:
        """Replaces the first document that matches, and gives it as it was before, or is after."""
        change = {"update": as_replacement(replacement), "new": return_document, "upsert": upsert}
        return self._find_and_modify(filter, projection, sort, change | given(options, Found))

    def find_one_and_delete(
        self, filter: Filter, projection: Any = None, sort: Any = None, **options: Unpack[Found]
    ) -> Document | None:
        """Deletes the first document that matches, and gives it as it was."""
        return self._find_and_modify(filter, projection, sort, {"remove": True} | given(options, Found))

    def _update(self, filter: Filter, statement: Document, options: Document) -> UpdateResult:
        reply = self._run_one("update", "updates", filter, statement, options)
        upserted = reply.get("upserted")
        matched = 0 if upserted else reply["n"]
        return UpdateResult(matched, reply["nModified"], upserted[0]["_id"] if upserted else None, reply)

    def _delete(self, filter: Filter, statement: Document, options: Document) -> DeleteResult:
        reply = self._run_one("delete", "deletes", filter, statement, options)
        return DeleteResult(reply["n"], reply)

    def _run_one(self, command: str, field: str, filter: Filter, statement: Document, options: Document) -> Document:
        """Runs a command with one statement."""
        of_command = {name: options.pop(name) for name in ("let", "comment") if name in options}
        return self._run({command: self._name, field: [{"q": filter} | statement | options]} | of_command)

    def _find_and_modify(self, filter: Filter, projection: Any, sort: Any, change: Document) -> Document | None:
        command = {"findAndModify": self._name, "query": filter} | change
        if projection is not None:
            command["fields"] = as_projection(projection)
        if sort is not None:
            command["sort"] = as_document(sort)
        return self._run(command)["value"]

    def _write_many(self, head: Document, field: str, statements: list[Any], counted: str) -> None:
        """Sends statements in as few commands as hold them, and raises what has failed of them."""
        done, failed = 0, []
        for first, reply in self._documents.write_batches(head, field, statements, head["ordered"]):
            if reply["ok"] != 1:
                checked(reply)
            done += reply["n"]
            failed += [error | {"index": error["index"] + first} for error in reply.get("writeErrors", ())]
        if failed:
            for error in failed:
                error["op"] = statements[error["index"]]
            raise BulkWriteError({"writeErrors": failed, "writeConcernErrors": [], counted: done})


def _identify(document: Any) -> None:
    """Gives a document an ``_id``."""
    if not isinstance(document, Mapping):
        raise TypeError(f"a document is a mapping; this one is a {type(document).__name__}")
    if "_id" not in document:
        document["_id"] = ObjectId()  # type: ignore[index]
