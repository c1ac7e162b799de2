"""What is read of a collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lockstore._commands import Commands
from lockstore._keys import as_document
from lockstore._options import Aggregated, Counted, Filter, Timed, given
from lockstore._replies import Document
from lockstore.cursor import CommandCursor, Cursor, find_command

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Reads(Commands):
    """The calls that change nothing."""

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
        self, filter: Filter, *, skip: int = 0, limit: int = 0, **options: Unpack[Counted]
    ) -> int:
        """How many documents match."""
        given(options, Counted)
        pipeline: list[Document] = [{"$match": filter}]
        if skip:
            pipeline.append({"$skip": skip})
        if limit:
            pipeline.append({"$limit": limit})
        pipeline.append({"$group": {"_id": 1, "n": {"$sum": 1}}})
        counted = next(self.aggregate(pipeline, **options), None)
        return counted["n"] if counted else 0

    def estimated_document_count(self) -> int:
        """How many documents there are. It is exact, and looks at none of them."""
        return self._run({"count": self._name})["n"]

    def distinct(self, key: str, filter: Filter | None = None, **options: Unpack[Timed]) -> list[Any]:
        """The values that ``key`` has in the documents that match; those in arrays each."""
        command = {"distinct": self._name, "key": key, "query": filter or {}}
        return self._run(command | given(options, Timed))["values"]

    def aggregate(
        self, pipeline: Sequence[Mapping[str, Any]], *, batchSize: int = 0, **options: Unpack[Aggregated]
    ) -> CommandCursor:
        """A cursor over what a pipeline gives. The pipeline begins at once."""
        cursor = {"batchSize": batchSize} if batchSize else {}
        command = {"aggregate": self._name, "pipeline": list(pipeline), "cursor": cursor}
        begun = self._run(command | given(options, Aggregated))["cursor"]
        return CommandCursor(self, lambda: begun, batchSize)
