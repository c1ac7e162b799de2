"""Stores that are open for as long as this process lives: one for each file, or replica set, and its options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lockstore._native import Opening, Store, Subscription
from lockstore._places import is_replica_set

__all__ = ["kept_store", "kept_store_async", "uri"]


def uri(path: str | os.PathLike[str]) -> str:
    """The ``mongodb://`` address of the file's socket, for pymongo and any other driver. Its server runs while this process lives, and is
    started again if it ends. The address of a replica set is that already.

    Raises ``ServerUnavailable`` (a ``ConnectionError``) when there is no way to a server.
    """
    if is_replica_set(path):
        return os.fspath(path)
    store = kept_store(path)
    if (key := (os.getpid(), str(store.path))) not in _watches:
        # Who waits for events notices that a server has ended, and starts the next.
        _watches.setdefault(key, store.subscribe(_NOTHING))
    return store.uri


def kept_store(path: str | os.PathLike[str], options: Options | None = None) -> Store:
    """The one store of this file or replica set, with these options, in this process, which is opened if need be. A forked child opens
    its own, and never touches what it has inherited."""
    opening = _opening(path, options or {})
    return opening.opened or opening.wait()


async def kept_store_async(path: str | os.PathLike[str], options: Options | None = None) -> Store:
    """As ``kept_store``. The event loop goes on while the store is opened; however many wait for that, it takes one thread."""
    opening = _opening(path, options or {})
    return opening.opened or await opening.wait_async()


def _opening(path: str | os.PathLike[str], options: Options) -> Opening:
    # Nothing is locked here: a signal's handler may come at any time, and a fork.
    spelled = (os.getpid(), os.fspath(path), tuple(options.items()))
    opening = _by_spelling.get(spelled)
    if opening is None:
        named = os.fspath(path) if is_replica_set(path) else os.path.realpath(path)
        key = (spelled[0], named, tuple(sorted(options.items())))
        opening = _openings.get(key) or _openings.setdefault(key, Opening(path, dict(options)))
        if is_replica_set(path) or os.path.isabs(path):
            _by_spelling[spelled] = opening
    return opening


#: Those of ``lockstore.Store``, by name.
Options = Mapping[str, Any]

#: A process, a store and its options.
_Key = tuple[int, str, tuple[tuple[str, Any], ...]]

_openings: dict[_Key, Opening] = {}
#: The same by absolute paths as they are written, which costs no look at the disk.
_by_spelling: dict[_Key, Opening] = {}
_watches: dict[tuple[int, str], Subscription] = {}

#: A prefix that no key has: only what concerns no lock is told.
_NOTHING = "\0no key"
