"""What a store has of its own on a replica set: its address, its options, elections, and sessions that end by time."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import threading
from pathlib import Path

import pymongo
import pytest
from maggma.stores import MongoStore
from support import PATIENCE, wait_until

import lockstore
from lockstore import _kept
from lockstore.jobflow import LockGridFSStore, LockStore
from lockstore.prefect import LockStoreManager

SECRET = "mongodb://user:secret@127.0.0.1:1/?replicaSet=rs0"


def test_a_store_is_its_address(store, members):
    assert store.path is None
    assert store.uri == lockstore.uri(members) == members
    hosts = members.removesuffix("/?replicaSet=rs0")
    assert repr(store) == f"<lockstore.Store {hosts}>"
    with pymongo.MongoClient(store.uri) as client:
        assert client.primary or client.admin.command("ping")


def test_an_option_about_the_other_place_is_refused(members, tmp_path):
    for option in ({"idle_exit": 60}, {"start_timeout": 10}):
        with pytest.raises(ValueError, match=f"{min(option)} is about a file, and this store is a replica set"):
            lockstore.Store(members, **option)
    times = {"session_ttl": 30, "waiter_ttl": 30, "look_again": 1, "write_timeout": 10, "connect_timeout": 5, "patience": 60}
    for name, value in {**times, "database": "locks", "reads": "majority", "pool_max": 10}.items():
        with pytest.raises(lockstore.InvalidArgument, match=f"{name} is about a replica set, and this store is a file"):
            lockstore.Store(tmp_path / "locks.redb", **{name: value})
    for place in (members, tmp_path / "locks.redb"):
        with pytest.raises(TypeError, match="'nonsense'"):
            lockstore.Store(place, nonsense=1)


@pytest.mark.parametrize(
    "option",
    [{"session_ttl": 0}, {"patience": float("inf")}, {"look_again": -1}, {"reads": "local"}, {"pool_max": 0}, {"pool_max": -1}],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_refused(members, option):
    with pytest.raises(lockstore.InvalidArgument):
        lockstore.Store(members, **option)


def test_every_option_is_taken_and_kept_by_a_copy(members):
    options = {"session_ttl": 20, "waiter_ttl": 20, "look_again": 2, "write_timeout": 5, "connect_timeout": 5, "patience": 30}
    with lockstore.Store(members, database="elsewhere", reads="linearizable", pool_max=10, **options) as store:
        reopen, (address, kept) = store.__reduce__()
        assert address == members
        assert kept == {**options, "database": "elsewhere", "reads": "linearizable", "pool_max": 10}
        with store.lock("k") as lock, pickle.loads(pickle.dumps(store)) as copy, lockstore.Store(members) as other:
            assert copy.is_lock_holder("k", lock.holder)
            assert not other.is_locked("k"), "its locks are in another database"


def test_no_secret_is_shown():
    with pytest.raises(ConnectionError) as unreachable:
        lockstore.Store(SECRET, patience=0.2)
    wrong = ["mongodb://user:sec?ret@h/", "mongodb://user:secret@h:port/", "MongoDB://user:secret@h", Path(SECRET)]
    said = [str(unreachable.value)]
    for address in wrong:
        with pytest.raises(lockstore.InvalidArgument) as raised:
            lockstore.Store(address)
        said.append(str(raised.value))
    said += [repr(LockStoreManager(SECRET)), LockStore(SECRET, "jobs").name, LockGridFSStore(SECRET, "jobs").name]
    assert not [words for words in said if "sec" in words.replace("second", "") or "user:" in words]


def test_who_is_not_let_in_is_told_so_without_the_password(members):
    with pytest.raises(lockstore.ServerUnavailable, match="Authentication failed") as raised:
        lockstore.Store(members.replace("://", "://user:secret@"))
    assert "secret" not in str(raised.value)


def test_ctrl_c_ends_a_connecting(script):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        other = script(
            "try:\n"
            f"    lockstore.Store('mongodb://127.0.0.1:{port}/?replicaSet=rs0', patience=3600)\n"
            "except KeyboardInterrupt:\n"
            "    print('interrupted')\n"
        )
        # It has been connected to, and says nothing.
        connection, _ = silent.accept()
        with connection:
            os.kill(other.process.pid, signal.SIGINT)
            assert other.end() == ["interrupted"]


def test_a_session_outlives_a_killed_process_by_its_time(store, script):
    other = script(
        "store = lockstore.Store(path, session_ttl=1)\n"
        "locks = [store.lock('bound').acquire(), store.lock('free', session=False).acquire()]\n"
        "print('held')\n"
        "time.sleep(3600)\n"
    )
    assert other.line() == "held"
    other.kill()
    assert store.wait_until_free("bound", PATIENCE)
    assert store.is_locked("free")


def test_locks_and_waits_outlive_an_election(store, client):
    had = []

    def wait():
        with store.lock("k") as lock:
            had.append(lock.token)

    with store.lock("k") as lock:
        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(lambda: store.inspect("k").waiters == 1)
        client.admin.command("replSetStepDown", 2, force=True)
        assert store.is_lock_holder("k", lock.holder)
        first = lock.token
    waiting.join(PATIENCE)
    assert had and had[0] > first


def test_managers_share_a_store_and_its_options(members, path):
    manager = LockStoreManager(path, hold_timeout=3600, database="prefect", session_ttl=20)
    same = LockStoreManager(path, 3600, session_ttl=20, database="prefect")
    copy = pickle.loads(pickle.dumps(manager))
    assert manager == same == copy and hash(manager) == hash(copy)
    assert manager != LockStoreManager(path, 3600)
    assert manager.acquire_lock("k", "me")
    assert copy.is_lock_holder("k", "me") and not copy.acquire_lock("k", "somebody", 0)
    assert not LockStoreManager(path).is_locked("k"), "its locks are in another database"
    assert len([key for key in _kept._openings if key[1] == members]) == 2
    copy.release_lock("k", "me")
    assert same.wait_for_lock("k", 0)


def test_maggmas_stores_are_there_too(path):
    with LockStore(path, "outputs", key="task") as store:
        assert isinstance(store, MongoStore)
        store.update([{"task": number} for number in range(3)])
        assert store.count() == 3
        assert store.name == path.removesuffix("/?replicaSet=rs0") + "/jobflow/outputs"
        copy = LockStore.from_dict(store.as_dict())
        assert copy == store and pickle.loads(pickle.dumps(store)) == store
    with LockGridFSStore(path, "data", key="task") as store:
        store.update([{"task": 7, "data": "x" * 1_000}])
        assert store.query_one({"task": 7})["data"] == "x" * 1_000
