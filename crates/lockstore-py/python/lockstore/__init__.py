"""Durable locks and documents that processes share: in one file, or on a MongoDB replica set.

>>> import lockstore
>>> store = lockstore.Store("jobs.redb")
>>> with store.lock("nightly-report") as lock:
...     print(lock.token)  # nobody else has the lock, on this machine

A store is a file and the server of that file, a process that the first who asks starts and that ends when it is idle. Locks survive
crashes; a lock ends with its process unless it is told otherwise, and with a TTL it is a lease, renewed while it is held. For many machines
the store is ``Store("mongodb://a,b,c/?replicaSet=rs0")``, and the program stays as it is.

Times are in seconds, as an int or a float, or a ``timedelta``. What can go wrong is in ``lockstore.errors``; each error is also of the
builtin class that people catch (``ValueError``, ``TimeoutError``, ``KeyError``, ``ConnectionError``).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lockstore._kept import uri
from lockstore._native import Lock, Store, Subscription
from lockstore.errors import (
    AcquireTimeout,
    AlreadyHeld,
    BulkWriteError,
    DocumentError,
    DocumentLockLost,
    DuplicateKeyError,
    ExecutionTimeout,
    HeldByOther,
    HeldOtherwise,
    InvalidArgument,
    InvalidDocument,
    LeaseLost,
    LimitReached,
    LockStoreError,
    NotHeld,
    OutcomeUnknown,
    ServerUnavailable,
    ServerUnresponsive,
    StoreBusy,
    StoreClosed,
    StoreFailed,
    StoreForked,
)
from lockstore.records import BreakRecord, Event, HolderInfo, LockInfo

if TYPE_CHECKING:
    from lockstore.collection import Collection, ReturnDocument
    from lockstore.mongo_lock import MongoLock

__all__ = [
    "AcquireTimeout",
    "AlreadyHeld",
    "BreakRecord",
    "BulkWriteError",
    "Collection",
    "DocumentError",
    "DocumentLockLost",
    "DuplicateKeyError",
    "Event",
    "ExecutionTimeout",
    "HeldByOther",
    "HeldOtherwise",
    "HolderInfo",
    "InvalidArgument",
    "InvalidDocument",
    "LeaseLost",
    "LimitReached",
    "Lock",
    "LockInfo",
    "LockStoreError",
    "MongoLock",
    "NotHeld",
    "OutcomeUnknown",
    "ReturnDocument",
    "ServerUnavailable",
    "ServerUnresponsive",
    "Store",
    "StoreBusy",
    "StoreClosed",
    "StoreFailed",
    "StoreForked",
    "Subscription",
    "uri",
]

# What is about documents is imported when it is first asked for: who only locks does not wait for it.
_LATER = {
    "Collection": "lockstore.collection",
    "MongoLock": "lockstore.mongo_lock",
    "ReturnDocument": "lockstore.collection",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'lockstore' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
