"""Prefect's protocol, case by case: what ours does in each of them, in words of the table of the README."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import cloudpickle
import pytest
from support import LEASE, PATIENCE, let_go, renewed, thread_names, wait_until
from prefect.locking.protocol import LockManager

import lockstore
from lockstore import _kept
from lockstore.prefect import LockStoreManager


@pytest.fixture
def manager(path):
    return LockStoreManager(path)


def token(manager, key="k"):
    return lockstore.Store(manager.path).inspect(key).holders[0].token


def end_of(manager, key="k"):
    return lockstore.Store(manager.path).inspect(key).holders[0].remaining


def test_it_is_a_lock_manager(manager):
    assert isinstance(manager, LockManager)


def test_it_is_never_falsy_and_equal_by_path_and_options(path):
    manager = LockStoreManager(path, 10, timedelta(seconds=5))
    assert manager
    same = LockStoreManager(str(path), hold_timeout=10.0, acquire_timeout=5.0)
    assert same == manager and hash(same) == hash(manager)
    assert LockStoreManager(os.path.relpath(path), 10, 5) == manager
    assert LockStoreManager(path) != manager
    assert LockStoreManager(path, 10, 5, keep_alive=False) != manager
    assert manager != str(path)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it)), lambda it: cloudpickle.loads(cloudpickle.dumps(it))]
)
def test_a_copy_is_the_same_manager(path, copied):
    manager = LockStoreManager(path, 3600, 0.01, False, False, True)
    assert not path.exists(), "it opens with its first call"
    assert manager.acquire_lock("k", "me")
    other = copied(manager)
    assert other == manager
    assert other.is_lock_holder("k", "me")
    other.release_lock("k", "me")
    assert not manager.is_locked("k")


def test_the_holder_acquires_again_and_keeps_its_grant(manager):
    assert manager.acquire_lock("k", "me", 0, 100)
    first = token(manager)
    assert manager.acquire_lock("k", "me", 0, 3600)
    assert token(manager) == first and end_of(manager) > 100
    assert manager.acquire_lock("k", "me")
    assert token(manager) == first and end_of(manager) is None
    assert manager.acquire_lock("k", "me", hold_timeout=0.01)
    assert manager.wait_for_lock("k", PATIENCE)
    assert manager.acquire_lock("k", "me")
    assert token(manager) > first


def test_a_holder_acquires_twice_at_once_and_keeps_the_lock(path):
    manager = LockStoreManager(path, hold_timeout=3600)

    async def twice():
        return await asyncio.gather(manager.aacquire_lock("k", "me"), manager.aacquire_lock("k", "me"))

    for _ in range(20):
        assert asyncio.run(twice()) == [True, True]
        let_go()
        assert manager.is_lock_holder("k", "me")
        manager.release_lock("k", "me")
        assert not manager.is_locked("k")


def test_an_object_that_has_only_joined_a_grant_ends_without_it(store):
    first = store.lock("k", "me").acquire()
    second = store.lock("k", "me").acquire()
    del second
    let_go()
    assert store.is_lock_holder("k", "me")
    token = first.leak()
    resumed = store.lock("k", "me").resume(token)
    del resumed
    let_go()
    assert store.is_lock_holder("k", "me")


def test_an_acquisition_with_wrong_times_leaves_the_renewals_alone(path, store):
    manager = LockStoreManager(path, hold_timeout=LEASE)
    assert manager.acquire_lock("k", "me")
    for times in ((-1,), (float("nan"),), (None, -1), (None, 0)):
        with pytest.raises(ValueError):
            manager.acquire_lock("k", "me", *times)
        with pytest.raises(ValueError):
            asyncio.run(manager.aacquire_lock("k", "me", *times))
    renewed(store.subscribe("k"))
    manager.release_lock("k", "me")


def test_an_acquisition_that_fails_or_is_cancelled_has_the_renewals_go_on(path, store, monkeypatch):
    manager = LockStoreManager(path, hold_timeout=LEASE)
    assert manager.acquire_lock("k", "me")
    held = token(manager)

    class Failing:
        def __init__(self, error):
            self.error = error

        def acquire(self, timeout):
            raise self.error

        async def acquire_async(self, timeout):
            raise self.error

    for error in (KeyboardInterrupt(), asyncio.CancelledError(), lockstore.errors.StoreBusy("busy")):
        with monkeypatch.context() as patched:
            patched.setattr(LockStoreManager, "_lock", lambda *_: Failing(error))
            with pytest.raises(type(error)):
                manager.acquire_lock("k", "me")
            coroutine = manager.aacquire_lock("k", "me")
            with pytest.raises(type(error)):
                coroutine.send(None)
    # To resume them is to renew it once: the next is by the renewals themselves.
    renewed(store.subscribe("k"))
    assert token(manager) == held
    manager.release_lock("k", "me")
    assert not manager.is_locked("k")


class Vanishing:
    """A store whose grant of another process is over just when it is to be renewed, and then somebody else's for a while."""

    def __init__(self, store, holds):
        self._store, self._holds = store, holds

    def __getattr__(self, name):
        return getattr(self._store, name)

    def inspect(self, key):
        info = self._store.inspect(key)
        self._store.release(key, "me")
        assert LockStoreManager(self._store.path).acquire_lock(key, "somebody", hold_timeout=self._holds)
        return info


@pytest.mark.parametrize("is_async", [False, True])
def test_a_grant_that_is_over_when_it_is_acquired_again_is_waited_for(path, store, monkeypatch, is_async):
    def acquire(manager, *times):
        if is_async:
            return asyncio.run(manager.aacquire_lock("k", "me", *times))
        return manager.acquire_lock("k", "me", *times)

    def lost(holds):
        assert LockStoreManager(path, session=False).acquire_lock("k", "me")
        vanishing = Vanishing(store, holds)
        monkeypatch.setattr(LockStoreManager, "_store", lambda _: vanishing)
        monkeypatch.setattr(LockStoreManager, "_store_async", lambda _: asyncio.sleep(0, vanishing))

    lost(0.2)
    assert acquire(LockStoreManager(path))
    monkeypatch.undo()
    manager = LockStoreManager(path)
    assert manager.is_lock_holder("k", "me")
    manager.release_lock("k", "me")
    lost(3600)
    with pytest.raises(TimeoutError):
        acquire(LockStoreManager(path, acquire_timeout=0.1))
    monkeypatch.undo()
    manager.release_lock("k", "somebody")
    lost(3600)
    assert not acquire(LockStoreManager(path), 0.1), "within its time, which does not begin anew"


def test_what_the_holder_shares_with_others_is_not_acquired(store, path):
    shared = store.lock("k", "me", shared=True).acquire()
    manager = LockStoreManager(path)
    with pytest.raises(lockstore.HeldOtherwise):
        manager.acquire_lock("k", "me")
    with pytest.raises(lockstore.HeldOtherwise):
        asyncio.run(manager.aacquire_lock("k", "me", 0))
    assert shared.remaining is None
    shared.release()


def test_a_holder_acquires_again_what_it_has_from_elsewhere(path):
    assert LockStoreManager(path, session=False).acquire_lock("k", "me", 0, 100)
    other = LockStoreManager(path)
    first = token(other)
    assert other.acquire_lock("k", "me", 0, 3600)
    assert token(other) == first and end_of(other) > 100
    assert other.acquire_lock("k", "me", 0)
    assert end_of(other) > 3000 * 24 * 3600
    other.release_lock("k", "me")


def test_a_timeout_of_0_is_false_at_once(manager):
    assert manager.acquire_lock("k", "somebody")
    assert not manager.acquire_lock("k", "me", 0)
    assert not manager.acquire_lock("k", "me", 0.05)
    assert not asyncio.run(manager.aacquire_lock("k", "me", 0))
    assert not asyncio.run(manager.aacquire_lock("k", "me", acquire_timeout=timedelta(milliseconds=50)))


@pytest.mark.parametrize("time", [-1, float("nan"), -0.5])
def test_a_timeout_that_is_none_is_a_value_error(manager, path, time):
    for bad in (
        lambda: manager.acquire_lock("k", "me", time),
        lambda: manager.acquire_lock("k", "me", None, time),
        lambda: manager.wait_for_lock("k", time),
        lambda: asyncio.run(manager.aacquire_lock("k", "me", time)),
        lambda: asyncio.run(manager.await_for_lock("k", time)),
        lambda: LockStoreManager(path, hold_timeout=time),
        lambda: LockStoreManager(path, acquire_timeout=time),
    ):
        with pytest.raises(ValueError):
            bad()
    assert not manager.is_locked("k")


def test_a_hold_of_0_is_a_value_error(manager, path):
    with pytest.raises(ValueError):
        manager.acquire_lock("k", "me", None, 0)
    with pytest.raises(ValueError):
        LockStoreManager(path, hold_timeout=0)
    assert not manager.is_locked("k")


def test_a_hold_is_no_longer_than_there_are_leases(manager, path):
    for hold in (float("inf"), 1e300, 10**309, timedelta(days=3_651)):
        with pytest.raises(ValueError, match="3,650 days"):
            manager.acquire_lock("k", "me", None, hold)
        with pytest.raises(ValueError, match="3,650 days"):
            LockStoreManager(path, hold_timeout=hold)
    assert not manager.is_locked("k")
    assert manager.acquire_lock("k", "me", None, timedelta(days=3_650))


def test_minus_0_is_0_and_infinity_for_ever(manager, store):
    for wrong in (lambda: manager.acquire_lock("k", "me", None, -0.0), lambda: LockStoreManager(manager.path, -0.0)):
        with pytest.raises(ValueError):
            wrong()
    assert manager.acquire_lock("k", "somebody")
    assert not manager.acquire_lock("k", "me", -0.0)
    assert not asyncio.run(manager.aacquire_lock("k", "me", -0.0))
    assert not manager.wait_for_lock("k", -0.0)
    waiting = [
        threading.Thread(target=wait)
        for wait in (
            lambda: manager.acquire_lock("k", "me", float("inf")),
            lambda: manager.wait_for_lock("k", float("inf")),
            lambda: asyncio.run(manager.await_for_lock("k", 1e300)),
        )
    ]
    for number, thread in enumerate(waiting):
        thread.start()
        wait_until(lambda: store.stats()["waiters"] == number + 1)
    manager.release_lock("k", "somebody")
    wait_until(lambda: manager.is_lock_holder("k", "me"))
    manager.release_lock("k", "me")
    for thread in waiting:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize("time", ["10", b"10", object()])
def test_what_is_no_time_is_a_type_error(manager, path, time):
    for bad in (
        lambda: manager.acquire_lock("k", "me", time),
        lambda: manager.acquire_lock("k", "me", None, time),
        lambda: manager.wait_for_lock("k", time),
        lambda: LockStoreManager(path, hold_timeout=time),
    ):
        with pytest.raises(TypeError):
            bad()


def test_the_time_of_a_wait_counts_from_the_call(manager, store, monkeypatch):
    """Whatever comes before it begins to wait: the opening of the store, or other coroutines of the loop."""
    later = 0
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + later)

    def slowly(self):
        nonlocal later
        later += 3600
        return _kept.kept_store(self.path)

    store.lock("k", "somebody", session=False).acquire().leak()
    calls = [manager.aacquire_lock("k", "me", 3600), manager.await_for_lock("k", 3600)]
    later = 3600
    assert [asyncio.run(call) for call in calls] == [False, False]
    monkeypatch.setattr(LockStoreManager, "_store", slowly)
    assert not manager.acquire_lock("k", "me", 3600)
    assert not manager.wait_for_lock("k", 3600)
    assert store.stats()["waiters"] == 0


def test_the_loop_goes_on_while_the_first_call_opens_the_store(manager, tmp_path, monkeypatch):
    slow = tmp_path / "slow"
    started, goes_on = tmp_path / "started", tmp_path / "goes on"
    slow.write_text(
        "#!/bin/sh\n"
        f"touch '{started}'\n"
        f"while [ ! -e '{goes_on}' ]; do sleep 0.01; done\n"
        f"exec '{sys.executable}' -m lockstore \"$@\"\n"
    )
    slow.chmod(0o700)
    monkeypatch.setenv("LOCKSTORE_PROGRAM", str(slow))

    async def main():
        before = len(thread_names())
        tasks = [asyncio.create_task(manager.aacquire_lock(f"k{number}", "me")) for number in range(100)]
        tasks += [asyncio.create_task(manager.await_for_lock("k")) for _ in range(100)]
        while not started.exists():
            await asyncio.sleep(0.005)
        assert len(thread_names()) <= before + 3
        goes_on.touch()
        assert await asyncio.gather(*tasks) == [True] * 200

    asyncio.run(main())


def test_another_holder_releases_nothing(manager):
    assert manager.acquire_lock("k", "somebody")
    with pytest.raises(ValueError) as raised:
        manager.release_lock("k", "me")
    assert str(raised.value) == "No lock held by me for transaction with key k"
    assert isinstance(raised.value, lockstore.HeldByOther) and raised.value.holder == "somebody"
    assert manager.is_lock_holder("k", "somebody")


def test_what_nobody_holds_is_released_in_silence_unless_that_is_an_error(manager, path):
    manager.release_lock("k", "me")
    manager.acquire_lock("k", "me")
    manager.release_lock("k", "me")
    manager.release_lock("k", "me")
    strict = LockStoreManager(path, strict_release=True)
    with pytest.raises(ValueError) as raised:
        strict.release_lock("k", "me")
    assert str(raised.value) == "No lock for transaction with key k"


def test_an_old_holder_leaves_its_successor_alone(manager):
    assert manager.acquire_lock("k", "old", 0, 0.01)
    assert manager.acquire_lock("k", "new")
    with pytest.raises(ValueError) as raised:
        manager.release_lock("k", "old")
    assert str(raised.value) == "No lock held by old for transaction with key k"
    assert manager.is_lock_holder("k", "new")


def test_what_has_expired_is_not_locked(manager):
    assert manager.acquire_lock("k", "me", hold_timeout=0.01)
    assert manager.wait_for_lock("k", PATIENCE)
    assert not manager.is_locked("k")
    assert not manager.is_lock_holder("k", "me")
    assert manager.wait_for_lock("k", 0)


def test_whoever_waits_for_a_free_lock_waits_and_its_holder_too(manager):
    assert manager.wait_for_lock("unknown")
    assert asyncio.run(manager.await_for_lock("unknown"))
    assert manager.acquire_lock("k", "me")
    assert not manager.wait_for_lock("k", 0.02)
    assert not asyncio.run(manager.await_for_lock("k", 0.02))
    manager.release_lock("k", "me")
    assert manager.wait_for_lock("k", 0.02)


def test_waiters_are_served_in_their_order(manager):
    store = lockstore.Store(manager.path)
    order = []

    def take(holder):
        assert manager.acquire_lock("k", holder)
        order.append(holder)
        manager.release_lock("k", holder)

    assert manager.acquire_lock("k", "first")
    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=take, args=(str(number),)))
        threads[-1].start()
        wait_until(lambda: store.inspect("k").waiters == number + 1)
    manager.release_lock("k", "first")
    for thread in threads:
        thread.join(PATIENCE)
    assert order == list("01234")


def test_keys_are_taken_as_they_are(manager, tmp_path):
    keys = ["a.1", "a.2", "x/y", "../up", "Ü", " ", "k" * 1024]
    for key in keys:
        assert manager.acquire_lock(key, "me", 0)
    for key in keys:
        assert manager.is_lock_holder(key, "me")
    assert not (tmp_path.parent / "up.lock").exists()
    for bad in ("", "k" * 1025):
        with pytest.raises(ValueError):
            manager.acquire_lock(bad, "me")


def test_the_managers_own_times_count_where_none_are_given(path):
    impatient = LockStoreManager(path, hold_timeout=3600, acquire_timeout=0.02)
    assert impatient.acquire_lock("k", "somebody")
    assert 3000 < end_of(impatient) <= 3600
    with pytest.raises(TimeoutError):
        impatient.acquire_lock("k", "me")
    with pytest.raises(TimeoutError):
        asyncio.run(impatient.aacquire_lock("k", "me"))
    assert not impatient.acquire_lock("k", "me", 0.01), "who names a time gets False"


def test_a_hold_is_renewed_while_the_process_lives(path):
    store = lockstore.Store(path)
    manager = LockStoreManager(path, hold_timeout=LEASE)
    events = store.subscribe("k")
    assert manager.acquire_lock("k", "me")
    del manager
    told = (event.kind for event in events if event.key is not None)
    assert [next(told) for _ in range(3)] == ["granted", "renewed", "renewed"]
    LockStoreManager(path).release_lock("k", "me")
    assert "ended" in told
    # A hold that was asked for has its end.
    assert LockStoreManager(path, hold_timeout=3600).acquire_lock("k", "me", hold_timeout=0.05)
    assert LockStoreManager(path).wait_for_lock("k", PATIENCE)
    assert LockStoreManager(path, hold_timeout=0.05, keep_alive=False).acquire_lock("k", "me")
    assert LockStoreManager(path).wait_for_lock("k", PATIENCE)


def test_200_coroutines_wait_without_a_thread_and_leave_when_they_are_cancelled(manager):
    store = lockstore.Store(manager.path)

    async def main():
        assert await manager.aacquire_lock("k", "first")
        before = len(os.listdir("/proc/self/task"))
        tasks = [asyncio.create_task(manager.aacquire_lock("k", str(number))) for number in range(100)]
        tasks += [asyncio.create_task(manager.await_for_lock("k")) for _ in range(100)]
        while store.stats()["waiters"] < 200:
            await asyncio.sleep(0.005)
        assert len(os.listdir("/proc/self/task")) <= before + 2
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while store.stats()["waiters"]:
            await asyncio.sleep(0.005)
        manager.release_lock("k", "first")
        assert not manager.is_locked("k")

    asyncio.run(main())


@pytest.mark.parametrize("session", [True, False])
def test_the_locks_of_who_is_killed_end_with_it_or_stay(manager, script, session):
    other = script(
        "from lockstore.prefect import LockStoreManager\n"
        f"assert LockStoreManager(path, session={session}).acquire_lock('k', 'me')\n"
        "assert LockStoreManager(path).acquire_lock('bound', 'me')\n"
        "print('held')\n"
        "time.sleep(3600)\n"
    )
    assert other.line() == "held"
    other.kill()
    assert manager.wait_for_lock("bound", PATIENCE)
    if session:
        assert manager.wait_for_lock("k", PATIENCE)
    else:
        assert manager.is_lock_holder("k", "me")


def test_a_forked_child_opens_the_store_for_itself(script):
    other = script(
        "import threading\n"
        "from lockstore.prefect import LockStoreManager\n"
        "manager = LockStoreManager(path, hold_timeout=3600)\n"
        "assert manager.acquire_lock('k', 'parent')\n"
        "for child in range(4):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        fine = manager.is_lock_holder('k', 'parent') and not manager.acquire_lock('k', 'child', 0)\n"
        "        fine = fine and manager.acquire_lock(str(child), 'child')\n"
        "        os._exit(0 if fine else 1)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n"
        "    assert manager.wait_for_lock(str(child), 300), 'it ended with the child'\n"
        "assert manager.is_lock_holder('k', 'parent')\n"
        "manager.release_lock('k', 'parent')\n"
        "print('fine')\n"
    )
    assert other.end() == ["fine"]


def test_it_needs_no_prefect(script):
    other = script(
        "sys.modules['prefect'] = None\n"
        "from lockstore.prefect import LockStoreManager\n"
        "assert LockStoreManager(path).acquire_lock('k', 'me')\n"
        "print('fine')\n"
    )
    assert other.end() == ["fine"]


def test_a_path_is_a_string_or_a_path(path):
    assert LockStoreManager(str(path)).path == LockStoreManager(Path(path)).path
    with pytest.raises(TypeError):
        LockStoreManager(7)
