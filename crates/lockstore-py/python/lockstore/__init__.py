"""Durable locks and documents that processes share, in one file.

>>> import lockstore
>>> store = lockstore.Store("jobs.redb")
>>> with store.lock("nightly-report"):
...     pass  # nobody else has it, on this machine

Times are seconds, as an int or a float, or a ``timedelta``. What can go wrong is in ``lockstore.errors``.
"""

from lockstore._native import Lock, Store
from lockstore.errors import LockStoreError

__all__ = ["Lock", "LockStoreError", "Store"]
