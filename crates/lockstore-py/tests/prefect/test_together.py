"""Managers of one file in many threads, event loops and processes at once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading

import pytest
from support import LEASE, PATIENCE, renewed

from lockstore.prefect import LockStoreManager

ROUNDS = 25


def count(path):
    """Only a lock keeps this from losing what another counts."""
    path.write_text(str(int(path.read_text()) + 1))


def by_threads(manager, counter, name):
    for number in range(ROUNDS):
        holder = f"{name} {os.getpid()} {number}"
        assert manager.acquire_lock("counter", holder)
        assert manager.is_lock_holder("counter", holder)
        count(counter)
        manager.release_lock("counter", holder)


def by_coroutines(manager, counter, name):
    async def one(number):
        holder = f"{name} {os.getpid()} {number}"
        assert await manager.aacquire_lock("counter", holder)
        count(counter)
        manager.release_lock("counter", holder)

    async def all_at_once():
        await asyncio.gather(*(one(number) for number in range(ROUNDS)))

    asyncio.run(all_at_once())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("options", [{}, {"hold_timeout": LEASE}, {"session": False}], ids=["session", "lease", "endless"])
def test_threads_loops_and_processes_of_any_kind_keep_each_other_out(path, tmp_path, options):
    counter = tmp_path / "counter"
    counter.write_text("0")
    manager = LockStoreManager(path, **options)
    assert manager.acquire_lock("counter", "first"), "the store is open, and its lock held, when the others are started"
    spawn, fork = multiprocessing.get_context("spawn"), multiprocessing.get_context("fork")
    started = [
        kind(target=work, args=(manager, counter, f"{work.__name__} {number}"))
        for kind in (threading.Thread, spawn.Process, fork.Process)
        for work in (by_threads, by_coroutines)
        for number in range(2)
    ]
    for one in started:
        one.start()
    manager.release_lock("counter", "first")
    for one in started:
        one.join(PATIENCE)
    assert [one.exitcode for one in started if not isinstance(one, threading.Thread)] == [0] * 8
    assert counter.read_text() == str(len(started) * ROUNDS)
    assert not manager.is_locked("counter")


def test_renewals_go_on_while_the_interpreter_is_busy(store, script):
    events = store.subscribe("k")
    other = script(
        "import re\n"
        "from lockstore.prefect import LockStoreManager\n"
        f"assert LockStoreManager(path, hold_timeout={LEASE}).acquire_lock('k', 'me')\n"
        "print('busy')\n"
        # It takes for ever, and lets no other thread run meanwhile.
        "re.match('(a+)+$', 'a' * 1000 + 'b')\n"
    )
    assert other.line() == "busy"
    renewed(events)
    renewed(events)
    assert store.is_lock_holder("k", "me")
