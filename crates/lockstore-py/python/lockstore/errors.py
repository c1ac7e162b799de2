"""What can go wrong: one tree, whose leaves are also of the builtin classes that people catch.

Each error is a sentence that says what was wrong and what was expected, and has ``key``, ``holder`` and ``token`` where it is about
a lock, a holder or a grant.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AcquireTimeout",
    "AlreadyHeld",
    "BulkWriteError",
    "DocumentError",
    "DocumentLockLost",
    "DuplicateKeyError",
    "ExecutionTimeout",
    "HeldByOther",
    "HeldOtherwise",
    "InvalidArgument",
    "InvalidDocument",
    "LeaseLost",
    "LimitReached",
    "LockStoreError",
    "NotHeld",
    "OutcomeUnknown",
    "ServerUnavailable",
    "ServerUnresponsive",
    "StoreBusy",
    "StoreClosed",
    "StoreFailed",
    "StoreForked",
]


class LockStoreError(Exception):
    """Every error of lockstore.

    ``key`` names the lock, ``holder`` who holds it or wanted to, ``token`` the grant; each is ``None`` where the error is about
    nothing of the kind.
    """

    key: str | None
    holder: str | None
    token: int | None

    def __init__(
        self,
        message: str,
        key: str | None = None,
        holder: str | None = None,
        token: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.holder = holder
        self.token = token

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.key, self.holder, self.token)


class InvalidArgument(LockStoreError, ValueError):
    """An argument is wrong: a key that is empty or too long, a time that is negative. Nothing was done."""


class AcquireTimeout(LockStoreError, TimeoutError):
    """The lock did not become free in time. ``holder`` and ``token`` say who had it, where that is known."""


class HeldOtherwise(LockStoreError, RuntimeError):
    """The same holder has the lock already, in another mode or bound to another process."""


class AlreadyHeld(LockStoreError, RuntimeError):
    """This very ``Lock`` is held, or being acquired, already. Make another for another guard."""


class NotHeld(LockStoreError, KeyError, ValueError):
    """Nobody holds the lock: it was released, has expired, or was never acquired."""


class HeldByOther(LockStoreError, ValueError):
    """Another holder has the lock, ``holder`` by ``token``. It was left alone."""


class LeaseLost(LockStoreError, RuntimeError):
    """The grant is over: it expired, was broken, or ended with its session. Somebody else may hold the lock."""


class LimitReached(LockStoreError, RuntimeError):
    """A documented bound of the store is reached. Nothing was done."""


class StoreBusy(LockStoreError, RuntimeError):
    """Too many calls wait to be served. Nothing was done; try again later."""


class StoreClosed(LockStoreError, RuntimeError):
    """The store was closed."""


class StoreForked(LockStoreError, RuntimeError):
    """The store was opened before this process was forked, and is its parent's. Open it again here, by its path."""


class StoreFailed(LockStoreError, OSError):
    """The store cannot serve: its disk fails, or it has stopped after a failure."""


class ServerUnavailable(LockStoreError, ConnectionError):
    """The file's server cannot be reached or started, or a replica set has no primary that can be reached. The message says why."""


class ServerUnresponsive(ServerUnavailable, TimeoutError):
    """The file's server does not answer, and its process lives: it was stopped, or hangs. Whether the call was done is not known."""


class OutcomeUnknown(LockStoreError, ConnectionError):
    """The server, or the primary, ended in the middle of the call. Whether it was done is not known: look before you do it again."""


class InvalidDocument(LockStoreError, ValueError, TypeError):
    """A value is none that a document may have, or a document is too deep or too large to be sent. It was not sent."""


class DocumentError(LockStoreError, RuntimeError):
    """A request about documents was refused, as MongoDB refuses it.

    ``code`` is MongoDB's number of the error, or one from 100000001 on where it is our own; ``details`` the reply, or the part of it that
    tells of the error, where there is one.
    """

    code: int | None
    details: dict[str, Any]

    def __init__(self, message: str, code: int | None = None, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = details or {}

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.code, self.details)


class DuplicateKeyError(DocumentError, KeyError):
    """A document with this key is there already, and there may be only one. ``details`` has it in ``keyValue``."""


class ExecutionTimeout(DocumentError, TimeoutError):
    """The request took longer than its ``max_time_ms``. What it had changed until then stays."""


class BulkWriteError(DocumentError):
    """Of many writes, some have failed. ``details`` has these in ``writeErrors``, and counts what was done."""

    def __init__(self, details: dict[str, Any]) -> None:
        super().__init__("batch op errors occurred", 65, details)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.details,)


class DocumentLockLost(LeaseLost):
    """The lock of a document is over: it was broken, has expired, or was taken away by an update or a deletion. ``holder`` is the
    ``lock_id`` of the document now, if it is locked. What was to be done on release was not done."""

    def __init__(self, message: str, holder: str | None = None) -> None:
        super().__init__(message, holder=holder)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.holder)
