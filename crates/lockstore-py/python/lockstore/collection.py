"""Collections of documents, with the calls of pymongo's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lockstore import _native
from lockstore._keys import as_document, as_hint, as_projection, index_name
from lockstore._replies import Document, checked
from lockstore._updates import as_replacement, as_update
from lockstore.bulk import bulk_write
from lockstore.cursor import CommandCursor, Cursor, find_command
from lockstore.errors import BulkWriteError, DocumentError
from lockstore.results import BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult
from lockstore.values import Int64, ObjectId

__all__ = ["Collection", "ReturnDocument"]

Filter = Mapping[str, Any]
Update = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class ReturnDocument:
    """Which document a ``find_one_and_...`` gives."""

    BEFORE = False
    AFTER = True


class Collection:
    """A collection of documents in a store, made by `Store.collection`: MongoDB's language, without a MongoDB.

    The calls are pymongo's, with the same names of arguments and results. Filters, updates, sorts and pipelines mean what they
    mean to MongoDB 6.0, and errors have its codes. A write is durable when it returns. A collection is a name: it comes into being
    with its first document or index. It may be used by many threads.

    Every call may raise `DocumentError`, with MongoDB's ``code``, `InvalidDocument` where a value is none of BSON's, and what
    every call of a store may raise. Those who raise more say so.
    """

    def __init__(self, store: _native.Store, database: str, name: str, *, tz_aware: bool = False) -> None:
        self._documents = _native.Documents(store, database, name, tz_aware)
        self._store = store
        self._database = database
        self._name = name
        self._tz_aware = tz_aware

    @property
    def name(self) -> str:
        """The name, without that of the database."""
        return self._name

    @property
    def full_name(self) -> str:
        """The names of the database and of the collection, with a dot between them."""
        return f"{self._database}.{self._name}"

    def __repr__(self) -> str:
        return f"<lockstore.Collection {self.full_name} of {self._store!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Collection):
            return NotImplemented
        return (self._store, self.full_name) == (other._store, other.full_name)

    def __hash__(self) -> int:
        return hash((self._store, self.full_name))

    # Reading.

    def find(
        self,
        filter: Filter | None = None,
        projection: Any = None,
        skip: int = 0,
        limit: int = 0,
        sort: Any = None,
        batch_size: int = 0,
        collation: Mapping[str, Any] | None = None,
        hint: Any = None,
        max_time_ms: int | None = None,
        max: Any = None,
        min: Any = None,
        return_key: bool = False,
        show_record_id: bool = False,
        comment: Any = None,
        allow_disk_use: bool = False,
        let: Mapping[str, Any] | None = None,
    ) -> Cursor:
        """A cursor over the documents that match; nothing is looked for before the first is read."""
        options = {
            "skip": skip,
            "limit": limit,
            "batchSize": batch_size,
            "collation": collation,
            "maxTimeMS": max_time_ms,
            "max": as_document(max) if max else None,
            "min": as_document(min) if min else None,
            "returnKey": return_key,
            "showRecordId": show_record_id,
            "comment": comment,
            "allowDiskUse": allow_disk_use,
            "let": let,
        }
        return Cursor(self, find_command(self._name, filter, projection, sort, hint, options))

    def find_one(self, filter: Any = None, *args: Any, **kwargs: Any) -> Document | None:
        """The first document that matches, or ``None``. A filter that is no mapping is an ``_id``. The other arguments are those
        of `find`."""
        if filter is not None and not isinstance(filter, Mapping):
            filter = {"_id": filter}
        return next(self.find(filter, *args, **kwargs).limit(-1), None)

    def count_documents(
        self,
        filter: Filter,
        *,
        skip: int = 0,
        limit: int = 0,
        hint: Any = None,
        collation: Mapping[str, Any] | None = None,
        maxTimeMS: int | None = None,
        comment: Any = None,
    ) -> int:
        """How many documents match."""
        pipeline: list[Document] = [{"$match": filter}]
        if skip:
            pipeline.append({"$skip": skip})
        if limit:
            pipeline.append({"$limit": limit})
        pipeline.append({"$group": {"_id": 1, "n": {"$sum": 1}}})
        counted = next(
            self.aggregate(pipeline, hint=hint, collation=collation, maxTimeMS=maxTimeMS, comment=comment), None
        )
        return counted["n"] if counted else 0

    def estimated_document_count(self) -> int:
        """How many documents there are. It is exact, and looks at none of them."""
        return self._run({"count": self._name})["n"]

    def distinct(
        self,
        key: str,
        filter: Filter | None = None,
        *,
        collation: Mapping[str, Any] | None = None,
        maxTimeMS: int | None = None,
        comment: Any = None,
    ) -> list[Any]:
        """The values that ``key`` has in the documents that match; those in arrays each."""
        options = {"collation": collation, "maxTimeMS": maxTimeMS, "comment": comment}
        return self._run({"distinct": self._name, "key": key, "query": filter or {}} | _given(options))["values"]

    def aggregate(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        *,
        batchSize: int = 0,
        collation: Mapping[str, Any] | None = None,
        hint: Any = None,
        maxTimeMS: int | None = None,
        comment: Any = None,
        let: Mapping[str, Any] | None = None,
        allowDiskUse: bool | None = None,
    ) -> CommandCursor:
        """A cursor over what a pipeline gives. The pipeline begins at once."""
        options = {
            "collation": collation,
            "hint": None if hint is None else as_hint(hint),
            "maxTimeMS": maxTimeMS,
            "comment": comment,
            "let": let,
            "allowDiskUse": allowDiskUse,
        }
        cursor = {"batchSize": batchSize} if batchSize else {}
        command = {"aggregate": self._name, "pipeline": list(pipeline), "cursor": cursor} | _given(options)
        begun = self._run(command)["cursor"]
        return CommandCursor(self, lambda: begun, batchSize)

    # Writing.

    def insert_one(self, document: dict[str, Any], *, comment: Any = None) -> InsertOneResult:
        """Inserts a document. One that has no ``_id`` is given one, in place.

        Raises `DuplicateKeyError`.
        """
        _identify(document)
        self._run({"insert": self._name, "documents": [document]} | _given({"comment": comment}))
        return InsertOneResult(document["_id"])

    def insert_many(
        self, documents: Iterable[dict[str, Any]], ordered: bool = True, *, comment: Any = None
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
        head = {"insert": self._name, "ordered": ordered} | _given({"comment": comment})
        self._write_many(head, "documents", documents, "nInserted")
        return InsertManyResult([document["_id"] for document in documents])

    def update_one(
        self,
        filter: Filter,
        update: Update,
        upsert: bool = False,
        *,
        array_filters: Sequence[Filter] | None = None,
        collation: Mapping[str, Any] | None = None,
        hint: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
    ) -> UpdateResult:
        """Updates the first document that matches: by operators, or by the stages of a pipeline."""
        return self._update(filter, as_update(update), False, upsert, array_filters, collation, hint, let, comment)

    def update_many(
        self,
        filter: Filter,
        update: Update,
        upsert: bool = False,
        *,
        array_filters: Sequence[Filter] | None = None,
        collation: Mapping[str, Any] | None = None,
        hint: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
    ) -> UpdateResult:
        """Updates all documents that match, each at once or not at all."""
        return self._update(filter, as_update(update), True, upsert, array_filters, collation, hint, let, comment)

    def replace_one(
        self,
        filter: Filter,
        replacement: Mapping[str, Any],
        upsert: bool = False,
        *,
        collation: Mapping[str, Any] | None = None,
        hint: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
    ) -> UpdateResult:
        """Replaces the first document that matches, except for its ``_id``."""
        return self._update(filter, as_replacement(replacement), False, upsert, None, collation, hint, let, comment)

    def delete_one(
        self,
        filter: Filter,
        *,
        collation: Mapping[str, Any] | None = None,
        hint: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
    ) -> DeleteResult:
        """Deletes the first document that matches."""
        return self._delete(filter, 1, collation, hint, let, comment)

    def delete_many(
        self,
        filter: Filter,
        *,
        collation: Mapping[str, Any] | None = None,
        hint: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
    ) -> DeleteResult:
        """Deletes all documents that match."""
        return self._delete(filter, 0, collation, hint, let, comment)

    def bulk_write(
        self,
        requests: Iterable[Any],
        ordered: bool = True,
        *,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
    ) -> BulkWriteResult:
        """Does many writes: ``InsertOne``, ``UpdateOne``, ``UpdateMany``, ``ReplaceOne``, ``DeleteOne`` and ``DeleteMany``, ours or
        pymongo's. Those of a kind that follow each other are sent at once.

        Raises `BulkWriteError`, whose ``details`` tell what was done.
        """
        return bulk_write(self, requests, ordered, _given({"let": let, "comment": comment}))

    def find_one_and_update(
        self,
        filter: Filter,
        update: Update,
        projection: Any = None,
        sort: Any = None,
        upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE,
        *,
        array_filters: Sequence[Filter] | None = None,
        hint: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        collation: Mapping[str, Any] | None = None,
        maxTimeMS: int | None = None,
    ) -> Document | None:
        """Updates the first document that matches, and gives it as it was before, or is after."""
        change = {
            "update": as_update(update),
            "new": return_document,
            "upsert": upsert,
            "arrayFilters": array_filters,
        }
        return self._find_and_modify(filter, change, projection, sort, hint, let, comment, collation, maxTimeMS)

    def find_one_and_replace(
        self,
        filter: Filter,
        replacement: Mapping[str, Any],
        projection: Any = None,
        sort: Any = None,
        upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE,
        *,
        hint: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        collation: Mapping[str, Any] | None = None,
        maxTimeMS: int | None = None,
    ) -> Document | None:
        """Replaces the first document that matches, and gives it as it was before, or is after."""
        change = {"update": as_replacement(replacement), "new": return_document, "upsert": upsert}
        return self._find_and_modify(filter, change, projection, sort, hint, let, comment, collation, maxTimeMS)

    def find_one_and_delete(
        self,
        filter: Filter,
        projection: Any = None,
        sort: Any = None,
        *,
        hint: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        collation: Mapping[str, Any] | None = None,
        maxTimeMS: int | None = None,
    ) -> Document | None:
        """Deletes the first document that matches, and gives it as it was."""
        change = {"remove": True}
        return self._find_and_modify(filter, change, projection, sort, hint, let, comment, collation, maxTimeMS)

    # Indexes and the collection itself.

    def create_index(self, keys: Any, **kwargs: Any) -> str:
        """Makes an index, unless there is the same, and gives its name.

        Args:
            keys: a field, or a list of fields and of pairs of a field and its direction, 1 or -1.
            kwargs: ``name``, ``unique``, ``sparse``, ``hidden``, ``partialFilterExpression``, ``expireAfterSeconds``; ``background``
                is taken and means nothing, for an index is always made while others write.
        """
        fields = as_document(keys)
        index = {"key": fields, "name": index_name(fields)} | kwargs
        self._run({"createIndexes": self._name, "indexes": [index]})
        return index["name"]

    def drop_index(self, index_or_name: Any) -> None:
        """Drops an index, which is given by its name or by its keys."""
        self._run({"dropIndexes": self._name, "index": as_hint(index_or_name)})

    def drop_indexes(self) -> None:
        """Drops all indexes but that of ``_id``."""
        try:
            self.drop_index("*")
        except DocumentError as error:
            if error.code != _NAMESPACE_NOT_FOUND:
                raise

    def list_indexes(self) -> CommandCursor:
        """A cursor over the indexes."""

        def begin() -> Document:
            try:
                return self._run({"listIndexes": self._name, "cursor": {}})["cursor"]
            except DocumentError as error:
                if error.code != _NAMESPACE_NOT_FOUND:
                    raise
                return {"id": 0, "firstBatch": []}

        return CommandCursor(self, begin)

    def index_information(self) -> dict[str, Document]:
        """The indexes by their names, with their keys as a list of pairs in ``key``."""
        indexes = (dict(index) for index in self.list_indexes())
        return {index.pop("name"): index | {"key": list(index["key"].items())} for index in indexes}

    def drop(self) -> None:
        """Drops the collection with all that is in it, if it is there."""
        try:
            self._run({"drop": self._name})
        except DocumentError as error:
            if error.code != _NAMESPACE_NOT_FOUND:
                raise

    # How it is done.

    def _run(self, command: Document) -> Document:
        return checked(self._documents.run(command))

    _int64 = Int64

    def _update(
        self,
        filter: Filter,
        update: Any,
        multi: bool,
        upsert: bool,
        array_filters: Any,
        collation: Any,
        hint: Any,
        let: Any,
        comment: Any,
    ) -> UpdateResult:
        options = {"arrayFilters": array_filters, "collation": collation, "hint": None if hint is None else as_hint(hint)}
        statement = {"q": filter, "u": update, "multi": multi, "upsert": upsert} | _given(options)
        command = {"update": self._name, "updates": [statement]} | _given({"let": let, "comment": comment})
        reply = self._run(command)
        upserted = reply.get("upserted")
        matched = 0 if upserted else reply["n"]
        return UpdateResult(matched, reply["nModified"], upserted[0]["_id"] if upserted else None, reply)

    def _delete(self, filter: Filter, limit: int, collation: Any, hint: Any, let: Any, comment: Any) -> DeleteResult:
        options = {"collation": collation, "hint": None if hint is None else as_hint(hint)}
        statement = {"q": filter, "limit": limit} | _given(options)
        reply = self._run({"delete": self._name, "deletes": [statement]} | _given({"let": let, "comment": comment}))
        return DeleteResult(reply["n"], reply)

    def _find_and_modify(
        self,
        filter: Filter,
        change: Document,
        projection: Any,
        sort: Any,
        hint: Any,
        let: Any,
        comment: Any,
        collation: Any,
        maxTimeMS: int | None,
    ) -> Document | None:
        options = {
            "fields": None if projection is None else as_projection(projection),
            "sort": None if sort is None else as_document(sort),
            "hint": None if hint is None else as_hint(hint),
            "let": let,
            "comment": comment,
            "collation": collation,
            "maxTimeMS": maxTimeMS,
        }
        return self._run({"findAndModify": self._name, "query": filter} | _given(change) | _given(options))["value"]

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


def _given(options: Mapping[str, Any]) -> Document:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _identify(document: Any) -> None:
    """Gives a document an ``_id``."""
    if not isinstance(document, Mapping):
        raise TypeError(f"a document is a mapping; this one is a {type(document).__name__}")
    if "_id" not in document:
        document["_id"] = ObjectId()  # type: ignore[index]


_NAMESPACE_NOT_FOUND = 26
