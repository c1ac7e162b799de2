"""Durable locks and documents that processes share, in one file.

>>> import lockstore
>>> store = lockstore.Store("jobs.redb")
>>> with store.lock("nightly-report") as lock:
...     print(lock.token)  # nobody else has the lock, on this machine

A store is a file and the server of that file, a process that the first who asks starts and that ends when it is idle. Locks survive
crashes; a lock ends with its process unless it is told otherwise, and with a TTL it is a lease, renewed while it is held.

Times are in seconds, as an int or a float, or a ``timedelta``. What can go wrong is in ``lockstore.errors``; each error is also of the
builtin class that people catch (``ValueError``, ``TimeoutError``, ``KeyError``, ``ConnectionError``).
"""

from lockstore._kept import uri
from lockstore._native import Lock, Store, Subscription
from lockstore.errors import (
    AcquireTimeout,
    AlreadyHeld,
    HeldByOther,
    HeldOtherwise,
    InvalidArgument,
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

__all__ = [
    "AcquireTimeout",
    "AlreadyHeld",
    "BreakRecord",
    "Event",
    "HeldByOther",
    "HeldOtherwise",
    "HolderInfo",
    "InvalidArgument",
    "LeaseLost",
    "LimitReached",
    "Lock",
    "LockInfo",
    "LockStoreError",
    "NotHeld",
    "OutcomeUnknown",
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
