"""Collections of documents, with the calls of pymongo's."""

from __future__ import annotations

from lockstore._indexes import Indexes
from lockstore._reads import Reads
from lockstore._writes import ReturnDocument, Writes

__all__ = ["Collection", "ReturnDocument"]


class Collection(Reads, Writes, Indexes):
    """A collection of documents in a store, made by `Store.collection`: MongoDB's language, without a MongoDB.

    The calls are pymongo's, with the same names of arguments and results. Filters, updates, sorts and pipelines mean what they
    mean to MongoDB 6.0, and errors have its codes. A write is durable when it returns. A collection is a name: it comes into being
    with its first document or index. It may be used by many threads.

    Every call may raise `DocumentError`, with MongoDB's ``code``, `InvalidDocument` where a value is none of BSON's, and what
    every call of a store may raise. Those who raise more say so.
    """
