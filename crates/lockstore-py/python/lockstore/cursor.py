"""Documents that come batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lockstore._keys import as_document, as_hint, as_projection
from lockstore._replies import Document, checked

if TYPE_CHECKING:
    from lockstore._commands import Commands
    from lockstore._reads import Reads

__all__ = ["CommandCursor", "Cursor"]


class CommandCursor:
    """An iterator over documents, which fetches them batch by batch. It may be read once, and by one thread at a time.

    Closing it, or reading it to its end, gives it up at the server; so does not touching it for 10 minutes.
    """

    def __init__(self, collection: Commands, begin: Callable[[], Document], batch_size: int = 0) -> None:
        self._collection = collection
        self._begin: Callable[[], Document] | None = begin
        self._batch_size = batch_size
        self._batch: Iterator[Document] = iter(())
        self._id = 0

    @property
    def alive(self) -> bool:
        """Whether there may be more documents to come."""
        return self._begin is not None or self._id != 0 or self._batch.__length_hint__() > 0  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[Document]:
        return self

    def __next__(self) -> Document:
        while (document := next(self._batch, None)) is None:
            if not self._fetch():
                raise StopIteration
        return document

    def next(self) -> Document:
        """The next document; ``StopIteration`` when there is none."""
        return next(self)

    def to_list(self, length: int | None = None) -> list[Document]:
        """The documents that are left, or the next ``length`` of them."""
        if length is None:
            return list(self)
        return [document for _, document in zip(range(length), self)]

    def close(self) -> None:
        """Gives the rest up."""
        left, self._id, self._begin, self._batch = self._id, 0, None, iter(())
        if left:
            self._collection._run({"killCursors": self._collection.name, "cursors": [left]})

    def __enter__(self) -> CommandCursor:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _fetch(self) -> bool:
        """Fetches the next batch, and tells whether there was one."""
        if self._begin is not None:
            begin, self._begin = self._begin, None
            cursor = begin()
        elif self._id:
            more: Document = {"getMore": self._collection._int64(self._id), "collection": self._collection.name}
            if self._batch_size:
                more["batchSize"] = self._batch_size
            cursor = self._collection._run(more)["cursor"]
        else:
            return False
        self._id = cursor["id"]
        self._batch = iter(cursor["firstBatch"] if "firstBatch" in cursor else cursor["nextBatch"])
        return True


class Cursor(CommandCursor):
    """What `Collection.find` has found. Until the first document is read, it can still be told what to find."""

    def __init__(self, collection: Reads, command: Document) -> None:
        super().__init__(collection, self._find)
        self._reads = collection
        self._command = command

    def _find(self) -> Document:
        self._batch_size = self._command.get("batchSize", 0)
        if self._command.get("limit", 0) < 0:
            # As in pymongo: so many, in one batch.
            self._command["limit"] = -self._command["limit"]
            self._command["singleBatch"] = True
        return checked(self._collection._run(self._command))["cursor"]

    def sort(self, key_or_list: Any, direction: int = 1) -> Cursor:
        """In this order: a field and its direction, or a list of such pairs."""
        return self._tell("sort", as_document(key_or_list, direction))

    def skip(self, skip: int) -> Cursor:
        """Without the first ``skip`` documents."""
        return self._tell("skip", skip)

    def limit(self, limit: int) -> Cursor:
        """So many documents at most; 0 is no limit."""
        return self._tell("limit", limit)

    def batch_size(self, batch_size: int) -> Cursor:
        """So many documents at once are fetched."""
        return self._tell("batchSize", batch_size)

    def hint(self, index: Any) -> Cursor:
        """By this index, which is given by name or by its keys."""
        return self._tell("hint", as_hint(index))

    def min(self, spec: Any) -> Cursor:
        """From these keys of the index that is named by `hint` on: pairs of a field and its value."""
        return self._tell("min", as_document(spec))

    def max(self, spec: Any) -> Cursor:
        """Up to these keys of the index that is named by `hint`, without them."""
        return self._tell("max", as_document(spec))

    def max_time_ms(self, max_time_ms: int | None) -> Cursor:
        """At most so many milliseconds at the server, or `ExecutionTimeout`."""
        return self._tell("maxTimeMS", max_time_ms)

    def rewind(self) -> Cursor:
        """The same cursor, from its beginning."""
        self.close()
        self._begin = self._find
        return self

    def distinct(self, key: str) -> list[Any]:
        """The values that ``key`` has in what is found."""
        return self._reads.distinct(key, self._command.get("filter"))

    def explain(self) -> Document:
        """How it is found, as MongoDB tells it."""
        return self._collection._run({"explain": self._command})

    def _tell(self, name: str, value: Any) -> Cursor:
        if self._begin is None:
            raise RuntimeError("cannot set options after executing query")
        if value is None:
            self._command.pop(name, None)
        else:
            self._command[name] = value
        return self


def find_command(
    name: str,
    filter: Mapping[str, Any] | None,
    projection: Any,
    sort: Any,
    hint: Any,
    options: Mapping[str, Any],
) -> Document:
    """The command of a ``find``. What is ``None`` or ``False`` or 0 in ``options`` is left out."""
    command: Document = {"find": name, "filter": {} if filter is None else filter}
    command |= {option: value for option, value in options.items() if value}
    if projection is not None:
        command["projection"] = as_projection(projection)
    if sort is not None:
        command["sort"] = as_document(sort)
    if hint is not None:
        command["hint"] = as_hint(hint)
    return command
