"""Stores of maggma in a file, for jobflow-remote without a MongoDB server; or on a replica set, with the same YAML.

A project's YAML names them by module and class::

    queue:
      store: {"@module": lockstore.jobflow, "@class": LockStore, path: ~/jobs.redb, collection_name: jobs}

The file's server is joined, or started if there is none, when a store connects; it ends when nobody needs it. For a replica set the path is
its address, ``mongodb://...``. maggma and pymongo must be installed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from maggma.core import Sort, Store
from maggma.stores import MongoStore
from maggma.stores.gridfs import GridFSStore

import lockstore
from lockstore._native import shown
from lockstore._places import absolute, is_replica_set

__all__ = ["LockGridFSStore", "LockStore"]


class _InFile(Store):
    """What both stores have of their own: a file or a replica set, and a database in it."""

    path: str
    database: str
    collection_name: str
    last_updated_field: str
    uri: str | None
    _coll: Any

    @property
    def name(self) -> str:
        """The file or the members, the database there, and the collection. No user and no password."""
        where = shown(self.path) if is_replica_set(self.path) else f"lockstore://{self.path}"
        return f"{where}/{self.database}/{self.collection_name}"

    def connect(self, force_reset: bool = False) -> None:
        """Joins the file's server, or starts it. Raises `lockstore.LockStoreError` when neither can be done.

        Args:
            force_reset: connect anew, even if connected.
        """
        self.uri = lockstore.uri(self.path)
        super().connect(force_reset)  # type: ignore[safe-super]  # The other base has it.

    def close(self) -> None:
        """Closes the connection, if there is one."""
        if self._coll is not None:
            super().close()  # type: ignore[safe-super]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, ...]:
        return (self.path, self.database, self.collection_name, self.last_updated_field)


class LockStore(_InFile, MongoStore):
    """A maggma ``MongoStore`` that takes a file instead of a host.

    It serves as ``queue.store``, ``docs_store`` and additional store of a jobflow-remote project, and wherever
    maggma takes a ``MongoStore``. It is (de)serialised by monty and pickled by its arguments, and a copy connects
    for itself.

    Args:
        path: the store's file, made when it is not there. ``~`` is the home folder, and a relative path
            counts from the folder in which this process is now. Or the address of a replica set.
        collection_name: the collection.
        database: the database in it.
        safe_update: log documents that are too large (16 MiB), instead of failing.
        mongoclient_kwargs: more arguments for ``pymongo.MongoClient``.
        default_sort: the sort of queries that name none.
        kwargs: the arguments of every maggma ``Store``: ``key``, ``last_updated_field``, ``last_updated_type``,
            ``validator``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        collection_name: str,
        database: str = "jobflow",
        safe_update: bool = False,
        mongoclient_kwargs: Mapping[str, Any] | None = None,
        default_sort: dict[str, Sort | int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.path = _absolute(path)
        super().__init__(
            database=database,
            collection_name=collection_name,
            safe_update=safe_update,
            mongoclient_kwargs=dict(mongoclient_kwargs or {}),
            default_sort=default_sort,
            **kwargs,
        )


class LockGridFSStore(_InFile, GridFSStore):
    """A maggma ``GridFSStore`` that takes a file instead of a host: for additional stores with data larger than a
    document may be (16 MiB).

    Args:
        path: the store's file, or the address of a replica set, as that of `LockStore`.
        collection_name: what stands before ``.files`` and ``.chunks`` in the names of the two collections.
        database: the database in it.
        compression: compress what is written.
        ensure_metadata: bring the fields of the metadata along in documents that are read.
        searchable_fields: fields that are kept in the metadata, to be searched by.
        mongoclient_kwargs: more arguments for ``pymongo.MongoClient``.
        kwargs: the arguments of every maggma ``Store``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        collection_name: str,
        database: str = "jobflow",
        compression: bool = False,
        ensure_metadata: bool = False,
        searchable_fields: list[str] | None = None,
        mongoclient_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.path = _absolute(path)
        super().__init__(
            database=database,
            collection_name=collection_name,
            compression=compression,
            ensure_metadata=ensure_metadata,
            searchable_fields=searchable_fields,
            mongoclient_kwargs=dict(mongoclient_kwargs or {}),
            **kwargs,
        )


def _absolute(path: str | os.PathLike[str]) -> str:
    """The same store for a process in another folder, which may read this from the same YAML."""
    return absolute(path if is_replica_set(path) else os.path.expanduser(path))
