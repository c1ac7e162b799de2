"""Locks of one process."""

from __future__ import annotations

import gc
import os
import signal
import threading
from datetime import timedelta

import pytest
from support import LEASE, PATIENCE, end_server, wait_until

import lockstore
from lockstore import _kept


def test_a_lock_is_held_for_as_long_as_the_with(store):
    with store.lock("k") as lock:
        assert store.is_locked("k")
        assert store.is_lock_holder("k", lock.holder)
        assert lock.is_valid()
        first = lock.token
    assert not store.is_locked("k")
    assert lock.token is None
    assert not lock.is_valid()
    with lock:
        assert lock.token > first


def test_who_does_not_want_to_wait_is_told_at_once(store):
    with store.lock("k", "somebody") as held:
        assert not store.lock("k").try_acquire()
        with pytest.raises(TimeoutError) as raised:
            store.lock("k", timeout=0).acquire()
        assert raised.value.key == "k"
        assert raised.value.holder == "somebody"
        assert raised.value.token == held.token
    assert store.lock("k").try_acquire()


@pytest.mark.parametrize("timeout", [0.05, timedelta(milliseconds=50)])
def test_a_wait_ends_with_its_time(store, timeout):
    with store.lock("k"):
        with pytest.raises(lockstore.AcquireTimeout) as raised:
            store.lock("k", timeout=timeout).acquire()
        assert isinstance(raised.value, TimeoutError)
        with pytest.raises(lockstore.AcquireTimeout):
            store.lock("k", timeout=3600).acquire(timeout=timeout)


def test_shared_holders_stand_beside_each_other_and_keep_others_out(store):
    with store.lock("k", shared=True), store.lock("k", shared=True):
        assert len(store.inspect("k").holders) == 2
        assert store.inspect("k").mode == "shared"
        assert not store.lock("k").try_acquire()


def test_a_lock_that_is_held_is_not_acquired_by_the_same_object_again(store):
    lock = store.lock("k", "me")
    with lock:
        with pytest.raises(lockstore.AlreadyHeld) as raised:
            lock.acquire()
        assert raised.value.key == "k"
        assert store.lock("k", "me").acquire().token == lock.token


def test_a_holder_is_not_let_in_by_another_mode(store):
    with store.lock("k", "me"):
        with pytest.raises(lockstore.HeldOtherwise) as raised:
            store.lock("k", "me", shared=True).acquire()
        assert (raised.value.key, raised.value.holder) == ("k", "me")


def test_what_is_not_held_is_not_released(store):
    with pytest.raises(KeyError) as raised:
        store.lock("k").release()
    assert isinstance(raised.value, lockstore.NotHeld)
    assert str(raised.value) == 'this Lock of "k" is not held'
    with pytest.raises(lockstore.NotHeld):
        store.release("k", "me")
    with store.lock("k", "somebody") as lock:
        with pytest.raises(lockstore.HeldByOther) as raised:
            store.release("k", "me")
        assert (raised.value.key, raised.value.holder, raised.value.token) == ("k", "somebody", lock.token)
        assert lock.is_valid()


@pytest.mark.parametrize("time", [-1, float("nan"), float("-inf"), -(10**309), timedelta(seconds=-1)], ids=lambda time: str(time)[:5])
def test_a_time_that_is_none_is_refused(store, time):
    for bad in (
        lambda: store.lock("k", ttl=time),
        lambda: store.lock("k", timeout=time),
        lambda: store.wait_until_free("k", time),
    ):
        with pytest.raises(ValueError) as raised:
            bad()
        assert isinstance(raised.value, lockstore.InvalidArgument)


@pytest.mark.parametrize("time", [float("inf"), 10**309, 1e300], ids=lambda time: f"{len(str(time))} digits")
def test_what_is_longer_than_any_time_is_for_ever(store, time):
    assert store.lock("k", timeout=time).try_acquire()
    assert store.wait_until_free("other", time)
    with pytest.raises(lockstore.InvalidArgument, match="3650 days"):
        store.lock("other", ttl=time).acquire()


def test_minus_0_is_0(store):
    with store.lock("k"), pytest.raises(TimeoutError):
        store.lock("k", timeout=-0.0).acquire()
    with pytest.raises(lockstore.InvalidArgument):
        store.lock("k", ttl=-0.0).acquire()


def test_bad_arguments_are_refused_and_nothing_is_done(store):
    for lock in (store.lock(""), store.lock("k" * 1025), store.lock("k", ""), store.lock("k", ttl=0)):
        with pytest.raises(lockstore.InvalidArgument):
            lock.acquire()
    with pytest.raises(TypeError):
        store.lock("k", ttl="10")
    with pytest.raises(TypeError):
        store.lock(7)
    assert store.list() == []


@pytest.mark.parametrize("key", ["a.1", "x/y", "../../etc", "Schlüssel ✓", "a\nb", "\x00k", "k" * 1024])
def test_any_string_is_a_key(store, key):
    with store.lock(key):
        assert store.inspect(key).key == key


def test_a_lease_is_renewed_while_it_is_held_and_no_longer(store, path):
    with store.lock("k", ttl=LEASE) as lock:
        assert 0 < lock.remaining <= LEASE
        events = store.subscribe("k")
        assert [next(events).kind for _ in range(2)] == ["renewed"] * 2
        assert lock.is_valid()
    lock = store.lock("k", ttl=0.1, keep_alive=False).acquire()
    assert store.wait_until_free("k", PATIENCE)
    wait_until(lambda: not lock.is_valid())
    with pytest.raises(lockstore.LeaseLost):
        lock.renew()
    holder, token = lock.holder, lock.token
    with pytest.raises(lockstore.LeaseLost) as raised:
        lock.release()
    assert (raised.value.key, raised.value.holder, raised.value.token) == ("k", holder, token)


def test_a_lease_gets_another_time_by_a_renewal(store):
    with store.lock("k", "me", ttl=3600) as lock:
        lock.renew(7200)
        assert 3600 < lock.remaining <= 7200
        assert store.renew("k", "me", ttl=100) == 100
        # Leases end with a whole millisecond.
        assert store.inspect("k").holders[0].remaining <= 100.001
        with pytest.raises(lockstore.LeaseLost):
            store.renew("k", "somebody")


@pytest.mark.parametrize("token", [0, -1, 2**64])
def test_a_token_that_is_none_is_refused(store, token):
    for bad in (
        lambda: store.lock("k", "me").resume(token),
        lambda: store.renew("k", "me", token),
        lambda: store.release("k", "me", token),
        lambda: store.break_lock("k", token),
    ):
        with pytest.raises(lockstore.InvalidArgument) as raised:
            bad()
        assert str(raised.value).endswith(f"this one is {token}")


def test_what_is_lost_in_the_body_is_told_behind_it(store):
    with pytest.raises(lockstore.LeaseLost), store.lock("k") as lock:
        store.break_lock("k", lock.token)
    with pytest.raises(ZeroDivisionError), store.lock("k") as lock:
        store.break_lock("k", lock.token)
        raise ZeroDivisionError


def test_a_lock_is_leaked_and_taken_up_again(store):
    lock = store.lock("k", "me", session=False).acquire()
    token = lock.leak()
    assert lock.token is None
    assert store.is_locked("k")
    again = store.lock("k", "me").resume(token)
    assert again.token == token
    again.release()
    with pytest.raises(lockstore.LeaseLost):
        store.lock("k", "me").resume(token)
    with pytest.raises(lockstore.InvalidArgument):
        store.lock("k").resume(token)


def test_a_lock_that_is_forgotten_is_released_unless_it_outlives_the_process(store):
    store.lock("bound").acquire()
    store.lock("free", session=False).acquire()
    gc.collect()
    assert store.wait_until_free("bound", PATIENCE)
    assert store.is_locked("free")


def test_who_waits_comes_first_served_and_other_threads_run_meanwhile(store):
    order = []
    first = store.lock("k").acquire()

    def wait(number):
        with store.lock("k"):
            order.append(number)

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        # This thread runs while those wait.
        wait_until(lambda: store.inspect("k").waiters == number + 1)
    first.release()
    for thread in threads:
        thread.join(PATIENCE)
    assert order == list(range(5))


def test_a_lock_is_broken_on_the_record(store):
    lock = store.lock("k", "somebody").acquire()
    with pytest.raises(lockstore.HeldByOther):
        store.break_lock("k", lock.token + 1)
    record = store.break_lock("k", lock.token, "it hangs")
    assert (record.key, record.holder, record.token, record.reason) == ("k", "somebody", lock.token, "it hangs")
    assert store.audit() == [record]
    with pytest.raises(lockstore.NotHeld):
        store.break_lock("k", lock.token)


def test_locks_are_listed_in_pages(store):
    locks = [store.lock(f"job/{number}", ttl=3600).acquire() for number in range(5)]
    store.lock("other").acquire().leak()
    assert [lock.key for lock in store.list("job/", limit=2)] == ["job/0", "job/1"]
    assert [lock.key for lock in store.list("job/", after="job/1")] == ["job/2", "job/3", "job/4"]
    info = store.list("job/")[0]
    assert (info.mode, info.waiters) == ("exclusive", 0)
    (holder,) = info.holders
    assert (holder.holder, holder.token, holder.session, holder.ttl) == (locks[0].holder, locks[0].token, True, 3600)
    assert store.inspect("nobody") is None


def test_what_happens_is_told(store):
    events = store.subscribe("k")
    with store.lock("k", "me", ttl=3600) as lock:
        store.lock("elsewhere").acquire().release()
        token = lock.token
    told = (event for event in events if event.key is not None)
    granted, ended = next(told), next(told)
    assert (granted.kind, granted.key, granted.holder, granted.token) == ("granted", "k", "me", token)
    assert granted.mode == "exclusive" and granted.remaining > 3500
    assert (ended.kind, ended.cause, ended.token) == ("ended", "released", token)
    assert ended.sequence > granted.sequence
    store.close()
    assert list(told) == []


def test_figures(store):
    with store.lock("k"):
        stats = store.stats()
    assert stats["locks"] == 1
    assert all(isinstance(figure, int) for figure in stats.values())


def test_a_closed_store_says_so(store):
    lock = store.lock("k").acquire()
    told = []

    def wait():
        try:
            store.lock("k").acquire()
        except lockstore.StoreClosed as error:
            told.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: store.inspect("k").waiters == 1)
    store.close()
    store.close()
    waiting.join(PATIENCE)
    assert len(told) == 1
    for closed in (lock.release, store.stats, lambda: store.is_locked("k"), lambda: store.lock("k").acquire()):
        with pytest.raises(lockstore.StoreClosed):
            closed()


def test_a_place_without_a_folder_is_no_store(tmp_path):
    with pytest.raises(ValueError):
        lockstore.Store(tmp_path / "none" / "locks.redb")
    with pytest.raises(TypeError):
        lockstore.Store(7)


def test_a_store_that_is_open_is_found_while_another_is_opened(path, tmp_path, monkeypatch):
    store = _kept.kept_store(path)
    # A server that says nothing for as long as it is let.
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/started.new; mv {tmp_path}/started.new {tmp_path}/started; exec sleep 3600\n")
    slow.chmod(0o700)
    monkeypatch.setenv("LOCKSTORE_PROGRAM", str(slow))
    failed = []

    def open_another():
        try:
            _kept.kept_store(tmp_path / "another.redb")
        except lockstore.ServerUnavailable as error:
            failed.append(error)

    thread = threading.Thread(target=open_another)
    thread.start()
    wait_until((tmp_path / "started").exists)
    assert _kept.kept_store(path) is store
    assert _kept.uri(path) == store.uri
    os.kill(int((tmp_path / "started").read_text()), signal.SIGKILL)
    thread.join(PATIENCE)
    assert len(failed) == 1
    monkeypatch.undo()
    with _kept.kept_store(tmp_path / "another.redb") as another:
        assert another.list() == [], "who asks next tries again"
    end_server(tmp_path / "another.redb")
