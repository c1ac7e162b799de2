"""The indexes of a collection, and its end."""

from __future__ import annotations

from typing import Any

from lockstore._commands import Commands
from lockstore._keys import as_document, as_hint, index_name
from lockstore._replies import Document
from lockstore.cursor import CommandCursor
from lockstore.errors import DocumentError


class Indexes(Commands):
    """The calls that are about indexes, or about the collection as a whole."""

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


_NAMESPACE_NOT_FOUND = 26
