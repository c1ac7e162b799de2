"""jobflow-remote's lock of a document by the calls of pymongo, on any MongoDB."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

from pymongo import ReturnDocument

from lockstore.errors import DocumentLockLost
from lockstore.mongo_lock import Document, MongoLock, _Way


class Pymongo(_Way):
    """A lock had by ``find_one_and_update``, and waited for by looking again."""

    def __init__(self, lock: MongoLock) -> None:
        self._lock = lock

    def acquire(self) -> tuple[Document | None, Document | None]:
        lock = self._lock
        if lock.break_lock:
            return self._take(lock.filter), None
        if not lock.sleep and not lock.get_locked_doc:
            return self._take({**lock.filter, lock.LOCK_KEY: None}), None
        deadline = time.monotonic() + lock.max_wait
        while True:
            locked, unavailable = self._meet()
            if unavailable is None or not lock.sleep or time.monotonic() >= deadline:
                return locked, unavailable
            time.sleep(lock.sleep)

    def release(self, update: Document | list[Any], delete: bool) -> None:
        collection, mine = self._lock.collection, self._mine()
        if delete:
            done = collection.delete_one(mine, **self._session()).deleted_count
        else:
            done = collection.update_one(mine, self._unlocking(update), **self._session()).matched_count
        if not done:
            self._lost()

    def renew(self, ttl: float | timedelta | None) -> None:
        raise ValueError("a lock on a collection of pymongo's has no ttl")

    def holds(self) -> bool:
        return self._lock.collection.find_one(self._mine(), ["_id"], **self._session()) is not None

    def _meet(self) -> tuple[Document | None, Document | None]:
        """Locks the first document that matches, or gives it as it is locked: by another, or by this very ``lock_id``.

        It is looked for and then locked if it is still free and still matches, so that an update means the same as everywhere.
        """
        lock = self._lock
        looking = {_OF_FIND[name]: value for name, value in lock.kwargs.items() if name in _OF_FIND}
        while True:
            found = lock.collection.find_one(lock.filter, lock._projection(), **looking)
            if found is None:
                return None, None
            holder = lock.get_lock_id(found)
            if holder is not None:
                return (found, None) if holder == lock.lock_id else (None, found)
            free = {"_id": found["_id"], lock.LOCK_KEY: None}
            if (locked := self._take({"$and": [lock.filter, free]})) is not None:
                return locked, None

    def _take(self, filter: Any) -> Document | None:
        lock = self._lock
        return lock.collection.find_one_and_update(
            filter,
            self._locking(),
            return_document=ReturnDocument.AFTER,
            projection=lock._projection(),
            **lock.kwargs,
        )

    def _locking(self) -> Document | list[Any]:
        """The update, and that of the lock."""
        lock = self._lock
        fields = {lock.LOCK_KEY: lock.lock_id, lock.LOCK_TIME_KEY: datetime.now(timezone.utc)}
        if isinstance(lock.update, list | tuple):
            literal = {name: {"$literal": value} for name, value in fields.items()}
            return [*lock.update, {"$set": literal}]
        update = dict(lock.update or {})
        return update | {"$set": {**update.get("$set", {}), **fields}}

    def _unlocking(self, update: Document | list[Any]) -> Document | list[Any]:
        """The update on release, and that of the lock."""
        fields = {self._lock.LOCK_KEY: None, self._lock.LOCK_TIME_KEY: None}
        if isinstance(update, list):
            return [{"$set": fields}, *update]
        return update | {"$set": {**update.get("$set", {}), **fields}}

    def _mine(self) -> Document:
        """The document, as long as it is locked by this."""
        lock = self._lock
        locked = lock.locked_document or {}
        return {"_id": locked.get("_id"), lock.LOCK_KEY: lock.lock_id}

    def _lost(self) -> None:
        lock = self._lock
        found = lock.collection.find_one({"_id": self._mine()["_id"]}, **self._session())
        holder = lock.get_lock_id(found) if found else None
        now = f"{holder} has locked it now" if holder else "nobody has locked it"
        raise DocumentLockLost(f"the document is not locked with lock_id {lock.lock_id} any more; {now}", holder)

    def _session(self) -> Document:
        return {"session": self._lock.kwargs["session"]} if "session" in self._lock.kwargs else {}


# What a look has of the arguments of a find_one_and_update, and how find_one calls it.
_OF_FIND = {name: name for name in ("collation", "comment", "hint", "let", "session", "sort")} | {
    "maxTimeMS": "max_time_ms"
}
