"""Durable locks and documents that processes share, in one file.

>>> import lockstore
>>> store = lockstore.Store("jobs.redb")
>>> with store.lock("nightly-report"):
...     pass  # nobody else has it, on this machine

Times are seconds, as an int or a float, or a ``timedelta``. What can go wrong is in ``lockstore.errors``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lockstore._native import Lock, Store
from lockstore.errors import LockStoreError

if TYPE_CHECKING:
    from lockstore.collection import Collection, ReturnDocument
    from lockstore.mongo_lock import MongoLock

__all__ = ["Collection", "Lock", "LockStoreError", "MongoLock", "ReturnDocument", "Store"]

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
