"""A collection, as commands name it."""

from __future__ import annotations

from lockstore import _native
from lockstore._replies import Document, checked
from lockstore.values import Int64


class Commands:
    """Runs the commands of one collection: what its reads, its writes and its indexes have in common."""

    def __init__(self, store: _native.Store, database: str, name: str, *, tz_aware: bool = False) -> None:
        self._documents = _native.Documents(store, database, name, tz_aware)
        self._store = store
        self._database = database
        self._name = name

    @property
    def name(self) -> str:
        """The name, without that of the database."""
        return self._name

    @property
    def full_name(self) -> str:
        """The names of the database and of the collection, with a dot between them."""
        return f"{self._database}.{self._name}"

    def __repr__(self) -> str:
        return f"<lockstore.{type(self).__name__} {self.full_name} of {self._store!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Commands):
            return NotImplemented
        return (self._store, self.full_name) == (other._store, other.full_name)

    def __hash__(self) -> int:
        return hash((self._store, self.full_name))

    def _run(self, command: Document) -> Document:
        return checked(self._documents.run(command))

    _int64 = Int64
