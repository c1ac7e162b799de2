"""jobflow-remote's lock of a document, on collections of ours and of pymongo's.

A lock lives in its document, in the fields ``lock_id`` and ``lock_time``: whoever sets them has locked it, also jobflow-remote's own
``MongoLock`` and a plain update. So all of them can work on the same documents.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lockstore._keys import as_document
from lockstore._updates import as_update
from lockstore.collection import Collection
from lockstore.errors import DocumentError, InvalidArgument, LockStoreError

if TYPE_CHECKING:
    import pymongo.collection

__all__ = ["FlowLockedError", "JobLockedError", "LockedDocumentError", "MongoLock", "RunnerLockedError"]

logger = logging.getLogger(__name__)

Document = dict[str, Any]


class MongoLock:
    """Finds one document, locks it, updates it, and releases it at the end of the ``with`` block.

    >>> with MongoLock(jobs, {"state": "READY"}, update={"$set": {"state": "RUNNING"}}) as lock:
    ...     if lock.locked_document:
    ...         lock.update_on_release = {"$set": {"state": "DONE"}}

    By default a document that is locked is passed over, and the next free one is taken. With ``get_locked_doc`` or ``sleep`` the
    first that matches is the one that is wanted, locked or not; with ``break_lock`` it is taken from whoever holds it.

    On a `lockstore.Collection` finding, locking and updating are one commit, durable when ``acquire`` returns, and so are releasing and
    updating; who waits is woken by the release, in the order of arrival; and a lock may end by itself. On a collection of pymongo's a
    wait looks again every ``sleep`` seconds, as jobflow-remote's does.

    An exception inside the block releases the document without ``update_on_release`` and ``delete_on_release``, which is logged.

    Args:
        collection: where the document is: a `lockstore.Collection`, or one of pymongo's.
        filter: which document.
        update: what is done to it in the same step: operators, or a list of the stages of a pipeline.
        break_lock: take the document from whoever has locked it.
        lock_id: what stands in ``lock_id`` of the document while it is locked; a new UUID if there is none.
        sleep: wait while the document is locked by another, and look again after so many seconds at the latest.
        max_wait: how many seconds to wait at most.
        projection: the fields of the document that are wanted. ``_id``, ``lock_id`` and ``lock_time`` always come along.
        get_locked_doc: if the document is locked by another, give it as ``unavailable_document``.
        ttl: the lock ends by itself so many seconds after it was acquired or last renewed (a float, or a ``timedelta``). The document
            shows when, in ``lock_expires_at``. Only on a `lockstore.Collection`, as are the following.
        keep_alive: renew a lock with a ``ttl`` while this process lives, each time a third of it has passed.
        ends_with_process: the lock ends when this process does, however it ends.
        show_token: show the fencing token in the document, as ``lock_token``.
        kwargs: the other arguments of ``find_one_and_update``: ``sort``, ``hint``, ``array_filters``, ``collation``, ``let``,
            ``comment``, ``maxTimeMS``, and on a collection of pymongo's ``session``.

    Attributes:
        locked_document: the document after the update, if it was locked by this.
        unavailable_document: the document that was wanted, if another has locked it.
    """

    LOCK_KEY = "lock_id"
    LOCK_TIME_KEY = "lock_time"

    def __init__(
        self,
        collection: Collection | pymongo.collection.Collection[Any],
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | list[Mapping[str, Any]] | None = None,
        break_lock: bool = False,
        lock_id: str | None = None,
        sleep: float | None = None,
        max_wait: float = 600,
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        get_locked_doc: bool = False,
        *,
        ttl: float | timedelta | None = None,
        keep_alive: bool = True,
        ends_with_process: bool = False,
        show_token: bool = False,
        **kwargs: Any,
    ) -> None:
        self.collection = collection
        self.filter = filter or {}
        self.update = update
        self.break_lock = break_lock
        self.locked_document: Document | None = None
        self.unavailable_document: Document | None = None
        self.lock_id = lock_id or str(uuid.uuid4())
        self.kwargs = kwargs
        self.sleep = sleep
        self.max_wait = max_wait
        self.projection = projection
        self.get_locked_doc = get_locked_doc
        self._is_new_lock_id = not lock_id
        self._ttl = ttl
        self._keep_alive = keep_alive
        self._ends_with_process = ends_with_process
        self._show_token = show_token
        self._update_on_release: Document | list[Any] = {}
        self._delete_on_release = False
        self._way: _Way = _native_or_pymongo(self)

    @property
    def update_on_release(self) -> Document | list[Any]:
        """An update of the document when it is released: operators, or a list of the stages of a pipeline.

        Setting it raises ``ValueError`` when it is no update, touches the fields of the lock, or ``delete_on_release`` is set.
        """
        return self._update_on_release

    @update_on_release.setter
    def update_on_release(self, value: Document | list[Any]) -> None:
        if self.delete_on_release:
            raise ValueError(_ONE_OF_BOTH)
        _refuse_lock_fields(value)
        self._way.check_update_on_release(value)
        self._update_on_release = value

    @property
    def delete_on_release(self) -> bool:
        """Whether the document is deleted when it is released. Setting it raises ``ValueError`` when ``update_on_release`` is set."""
        return self._delete_on_release

    @delete_on_release.setter
    def delete_on_release(self, value: bool) -> None:
        if self.update_on_release:
            raise ValueError(_ONE_OF_BOTH)
        self._delete_on_release = value

    @property
    def is_locked(self) -> bool:
        """Whether nothing was locked by this: the sense is jobflow-remote's. `holds` tells it the other way round, and as of now."""
        return self.locked_document is None

    @property
    def token(self) -> int | None:
        """The fencing token: higher than that of every earlier grant of the store. ``None`` when nothing is locked, and on a
        collection of pymongo's."""
        return self._way.token()

    @classmethod
    def get_lock_time(cls, d: Mapping[str, Any]) -> Any:
        """When a document was locked."""
        return d.get(cls.LOCK_TIME_KEY)

    @classmethod
    def get_lock_id(cls, d: Mapping[str, Any]) -> Any:
        """Who has locked a document."""
        return d.get(cls.LOCK_KEY)

    def holds(self) -> bool:
        """Whether the document is still locked by this."""
        return self.locked_document is not None and self._way.holds()

    def renew(self, ttl: float | timedelta | None = None) -> None:
        """Begins the time of a lock with a ``ttl`` anew, or another one.

        Raises `DocumentLockLost` when the lock is over: a renewal revives nothing.
        """
        if self.locked_document is not None:
            self._way.renew(ttl)

    def acquire(self) -> None:
        """Finds the document and locks it. What came of it is in ``locked_document`` and ``unavailable_document``."""
        if self._update_on_release:
            _refuse_lock_fields(self._update_on_release)
            as_update(self._update_on_release)
        self.locked_document, self.unavailable_document = self._way.acquire()

    def release(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Releases the document, with the update or the deletion that is set; without them after an exception.

        Raises `DocumentLockLost`, with who has the document now as ``holder``, when the lock is over already: then nothing was done.
        """
        if self.locked_document is None:
            return
        update, delete = self.update_on_release, self.delete_on_release
        if exc_type is not None:
            raised = f"A {exc_type} exception was raised while the document was locked. "
            if update:
                logger.warning(raised + f"The update_on_release {update} will not be applied.")
            if delete:
                logger.warning(
                    raised + "The document will not be deleted, as instead requested by delete_on_release."
                )
            update, delete = {}, False
        try:
            if update:
                self._check_on_release(update, delete)
            self._way.release(update, delete)
        except LockStoreError as error:
            if exc_type is None:
                raise
            # What went wrong first is told.
            logger.warning(f"Could not release lock for document {self.locked_document['_id']}: {error}")
        finally:
            self.locked_document = None

    def _check_on_release(self, update: Document | list[Any], delete: bool) -> None:
        """Checks the update as it is now: it may have changed in place since it was set. One that is none releases the document."""
        try:
            if delete:
                raise ValueError(_ONE_OF_BOTH)
            _refuse_lock_fields(update)
            self._way.check_update_on_release(update)
        except BaseException:
            with suppress(LockStoreError):
                self._way.release({}, False)
            raise

    def __enter__(self) -> MongoLock:
        self.acquire()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if self.locked_document is not None:
            self.release(exc_type, exc_val, exc_tb)

    def _projection(self) -> Document | None:
        """The projection, with what a lock needs."""
        if not self.projection:
            return None
        needed = ("_id", self.LOCK_KEY, self.LOCK_TIME_KEY)
        fields = as_document(self.projection)
        if any(value for name, value in fields.items() if name != "_id"):
            return {name: value for name, value in fields.items() if name not in needed} | dict.fromkeys(needed, 1)
        return {name: value for name, value in fields.items() if name not in needed} or None


class _Way:
    """How a lock is had: in a store, or by the calls of pymongo."""

    def acquire(self) -> tuple[Document | None, Document | None]:
        """The document that was locked, and the one that another has locked."""
        raise NotImplementedError

    def check_update_on_release(self, update: Document | list[Any]) -> None:
        """Raises ``ValueError`` if it is no update."""

    def release(self, update: Document | list[Any], delete: bool) -> None:
        raise NotImplementedError

    def renew(self, ttl: float | timedelta | None) -> None:
        raise NotImplementedError

    def holds(self) -> bool:
        raise NotImplementedError

    def token(self) -> int | None:
        return None


class _Native(_Way):
    """In a store: the store does all of it."""

    def __init__(self, lock: MongoLock, collection: Collection) -> None:
        self._lock = lock
        self._collection = collection
        self._held: Any = None
        unknown = set(lock.kwargs) - _FIND_ONE_AND_UPDATE
        if unknown or lock.kwargs.get("session") is not None:
            name = min(unknown, default="session")
            raise TypeError(f"MongoLock got an argument {name!r}, which a collection of lockstore does not take")

    def acquire(self) -> tuple[Document | None, Document | None]:
        lock, kwargs = self._lock, self._lock.kwargs
        sort, hint, max_time_ms = (kwargs.get(name) for name in ("sort", "hint", "maxTimeMS"))
        self._held = held = self._collection._documents.lock(
            {
                "filter": lock.filter,
                "update": lock.update or None,
                "break_lock": lock.break_lock,
                "lock_id": lock.lock_id,
                "is_new_lock_id": lock._is_new_lock_id,
                "sleep": lock.sleep or None,
                "max_wait": lock.max_wait,
                "projection": lock._projection(),
                "get_locked_doc": lock.get_locked_doc,
                "sort": None if sort is None else as_document(sort),
                "hint": hint if hint is None or isinstance(hint, str) else as_document(hint),
                "array_filters": kwargs.get("array_filters"),
                "collation": kwargs.get("collation"),
                "let": kwargs.get("let"),
                "max_time": None if max_time_ms is None else max_time_ms / 1000,
                "ttl": lock._ttl,
                "keep_alive": lock._keep_alive,
                "session": lock._ends_with_process,
                "show_token": lock._show_token,
            }
        )
        try:
            met = held.locked_document(), held.unavailable_document()
            if met[0] is not None and lock._update_on_release:
                self.check_update_on_release(lock._update_on_release)
        except BaseException:
            # Nobody knows that it is locked.
            with suppress(LockStoreError):
                held.release(False)
            raise
        return met

    def check_update_on_release(self, update: Document | list[Any]) -> None:
        if self._held is not None:
            try:
                self._held.set_update_on_release(update)
            except DocumentError as error:
                raise InvalidArgument(error.message) from error

    def release(self, update: Document | list[Any], delete: bool) -> None:
        if not update:
            self._held.set_update_on_release({})
        self._held.release(delete)

    def renew(self, ttl: float | timedelta | None) -> None:
        self._held.renew(ttl)

    def holds(self) -> bool:
        return self._held.holds()

    def token(self) -> int | None:
        return None if self._held is None else self._held.token()


def _native_or_pymongo(lock: MongoLock) -> _Way:
    if isinstance(lock.collection, Collection):
        return _Native(lock, lock.collection)
    from lockstore._pymongo_lock import Pymongo

    if lock._ttl is not None or lock._ends_with_process or lock._show_token:
        raise ValueError("ttl, ends_with_process and show_token are for collections of lockstore; this one is pymongo's")
    return Pymongo(lock)


def _refuse_lock_fields(update: Any) -> None:
    """Refuses an update of the fields of the lock, by operators or by the stages that name fields."""
    changes = update if isinstance(update, list) else [update]
    for change in changes:
        for fields in change.values() if isinstance(change, Mapping) else ():
            names = [fields] if isinstance(fields, str) else fields if isinstance(fields, Mapping | list) else ()
            for name in names:
                if isinstance(name, str) and name.split(".")[0] in (MongoLock.LOCK_KEY, MongoLock.LOCK_TIME_KEY):
                    raise InvalidArgument(f"update_on_release must not touch {name!r}, which is the lock's")


class LockedDocumentError(LockStoreError):
    """A document that is wanted is locked by another."""


class RunnerLockedError(LockedDocumentError):
    """The document of the runner is locked."""

    @classmethod
    def from_runner_doc(cls, doc: Mapping[str, Any], additional_msg: str | None = None) -> RunnerLockedError:
        """The error about this document."""
        return cls(_locked("Runner document", doc, additional_msg))


class JobLockedError(LockedDocumentError):
    """The document of a job is locked."""

    @classmethod
    def from_job_doc(cls, doc: Mapping[str, Any], additional_msg: str | None = None) -> JobLockedError:
        """The error about this document."""
        return cls(_locked(f"Job with db_id {doc['db_id']}", doc, additional_msg))


class FlowLockedError(LockedDocumentError):
    """The document of a flow is locked."""

    @classmethod
    def from_flow_doc(cls, doc: Mapping[str, Any], additional_msg: str | None = None) -> FlowLockedError:
        """The error about this document."""
        return cls(_locked(f"Flow with uuid {doc['uuid']}", doc, additional_msg))


def _locked(what: str, doc: Mapping[str, Any], additional: str | None) -> str:
    since = doc[MongoLock.LOCK_TIME_KEY]
    since = since.isoformat(timespec="seconds") if since else None
    message = f"{what} is locked with lock_id {doc[MongoLock.LOCK_KEY]} since {since} UTC."
    return f"{message} {additional}" if additional else message


_FIND_ONE_AND_UPDATE = {
    "array_filters",
    "collation",
    "comment",
    "hint",
    "let",
    "maxTimeMS",
    "session",
    "sort",
}

_ONE_OF_BOTH = "delete_on_release and update_on_release cannot be set simultaneously"
