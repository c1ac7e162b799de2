"""Locks of several processes, and what becomes of them when those end, fork or are interrupted."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import threading

import pytest
from support import PATIENCE, end_server, server_pid, wait_until

import lockstore


def test_a_lock_ends_with_its_process_unless_it_outlives_it(store, script):
    other = script(
        "store = lockstore.Store(path)\n"
        "locks = [store.lock('bound').acquire(), store.lock('free', session=False).acquire()]\n"
        "print('held')\n"
        "time.sleep(3600)\n"
    )
    assert other.line() == "held"
    other.kill()
    assert store.wait_until_free("bound", PATIENCE)
    assert store.is_locked("free")


def test_a_process_that_ends_without_a_word_leaves_nothing_locked(store, script):
    script("store = lockstore.Store(path)\nlock = store.lock('k').acquire()\n").end()
    assert store.wait_until_free("k", PATIENCE)


def test_ctrl_c_ends_a_wait_and_the_place_in_the_queue(store, script):
    with store.lock("k"):
        other = script(
            "store = lockstore.Store(path)\n"
            "print('waits')\n"
            "try:\n"
            "    store.lock('k').acquire()\n"
            "except KeyboardInterrupt:\n"
            "    print('interrupted', store.inspect('k').waiters)\n"
        )
        assert other.line() == "waits"
        wait_until(lambda: store.inspect("k").waiters == 1)
        os.kill(other.process.pid, signal.SIGINT)
        assert other.line().startswith("interrupted")
        wait_until(lambda: store.inspect("k").waiters == 0)
        other.end()


def test_a_signal_that_is_handled_costs_no_place_in_the_queue(store, script):
    first = store.lock("k").acquire()
    other = script(
        "signal.signal(signal.SIGUSR1, lambda *_: print('handled'))\n"
        "store = lockstore.Store(path)\n"
        "with store.lock('k', 'other'):\n"
        "    print('had it')\n"
    )
    wait_until(lambda: store.inspect("k").waiters == 1)
    told = store.subscribe("k")
    for _ in range(3):
        os.kill(other.process.pid, signal.SIGUSR1)
        assert other.line() == "handled"
    assert store.inspect("k").waiters == 1
    first.release()
    assert other.end() == ["had it"]
    kinds = [next(told).kind for _ in range(3)]
    assert kinds == ["ended", "granted", "ended"], "nobody has left the queue, or joined it"


def test_a_program_ends_while_others_of_its_threads_wait(store, script):
    with store.lock("k"):
        other = script(
            "import asyncio, threading\n"
            "store = lockstore.Store(path)\n"
            "events = store.subscribe()\n"
            "for wait in (store.lock('k').acquire, lambda: list(events),\n"
            "             lambda: asyncio.run(store.wait_until_free_async('k'))):\n"
            "    threading.Thread(target=wait, daemon=True).start()\n"
            "while store.inspect('k').waiters < 1: time.sleep(0.005)\n"
            "print('ends')\n"
        )
        assert other.end() == ["ends"]


def test_a_program_ends_while_a_loop_of_its_own_has_waits(store, script):
    with store.lock("k"):
        other = script(
            "import asyncio\n"
            "store = lockstore.Store(path)\n"
            "loop = asyncio.new_event_loop()\n"
            "async def wait(): await store.lock('k').acquire_async()\n"
            "tasks = [loop.create_task(wait()) for _ in range(10)]\n"
            "async def all_wait():\n"
            "    while store.inspect('k').waiters < 10: await asyncio.sleep(0.005)\n"
            "loop.run_until_complete(all_wait())\n"
            "print('ends')\n"
        )
        assert other.end() == ["ends"]
        wait_until(lambda: store.inspect("k").waiters == 0)


def test_a_forked_child_is_told_so_and_opens_the_store_anew(store, script):
    other = script(
        "store = lockstore.Store(path)\n"
        "lock = store.lock('k').acquire()\n"
        "events = store.subscribe()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    uses = [store.stats, lock.release, lambda: lock.token, lambda: next(events), store.close,\n"
        "            lambda: store.lock('k').acquire()]\n"
        "    for use in uses:\n"
        "        try: use()\n"
        "        except lockstore.StoreForked: pass\n"
        "        else: os._exit(1)\n"
        "    del lock, events, store, uses, use\n"
        "    with lockstore.Store(path) as store:\n"
        "        os._exit(0 if not store.lock('k').try_acquire() else 2)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n"
        "assert lock.is_valid() and store.is_lock_holder('k', lock.holder)\n"
        "for _ in range(10): assert store.stats()['locks'] == 1\n"
        "lock.release()\n"
        "print('fine')\n"
    )
    assert other.end() == ["fine"]


def _count(store, path, rounds):
    """What many processes do at once: only the lock keeps them from each other."""
    for _ in range(rounds):
        with store.lock("counter"):
            number = int(path.read_text())
            path.write_text(str(number + 1))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_processes_that_are_started_in_any_way_keep_each_other_out(store, path, tmp_path, method):
    counter = tmp_path / "counter"
    counter.write_text("0")
    copy = pickle.loads(pickle.dumps(store))
    assert (copy.path, copy.uri) == (store.path, store.uri)
    copy.close()
    context = multiprocessing.get_context(method)
    # A forked child unpickles nothing: it opens the store by its path.
    given = _Reopened(path) if method == "fork" else store
    processes = [context.Process(target=_count, args=(given, counter, 25)) for _ in range(3)]
    threads = [threading.Thread(target=_count, args=(store, counter, 25)) for _ in range(2)]
    for one in [*processes, *threads]:
        one.start()
    for one in [*processes, *threads]:
        one.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert counter.read_text() == str(5 * 25)


class _Reopened:
    """A store that is opened by whoever uses it first."""

    def __init__(self, path):
        self._path = path
        self._store = None

    def lock(self, key):
        if self._store is None:
            self._store = lockstore.Store(self._path)
        return self._store.lock(key)


def test_a_server_that_is_killed_is_started_again_and_nothing_is_lost(store, path):
    with store.lock("k") as lock:
        os.kill(server_pid(path), signal.SIGKILL)
        assert store.is_lock_holder("k", lock.holder)
        assert lock.is_valid()
    assert not store.is_locked("k")


def test_the_address_is_a_drivers_and_the_server_stays_up(path, script):
    pymongo = pytest.importorskip("pymongo")
    other = script(
        "address = lockstore.uri(path)\n"
        "assert lockstore.uri(os.path.relpath(path)) == address\n"
        "print(address)\n"
        "sys.stdin.readline()\n"
    )
    address = other.line()
    assert address.startswith("mongodb://%2F")
    with pymongo.MongoClient(address) as client:
        client.factory.jobs.insert_one({"_id": 1})
        killed = server_pid(path)
        os.kill(killed, signal.SIGKILL)
        # Nobody calls the store: the server comes back by itself.
        wait_until(lambda: server_pid(path) not in (None, killed))
        assert client.factory.jobs.find_one() == {"_id": 1}
    other.tell()
    other.end()


def test_a_store_that_is_forgotten_lets_go_of_its_server(store, path):
    with store.lock("k"):
        pass
    before = len(os.listdir("/proc/self/task"))
    for _ in range(10):
        with lockstore.Store(path).lock("k"):
            pass
    gc.collect()
    wait_until(lambda: len(os.listdir("/proc/self/task")) <= before)
    wait_until(lambda: store.stats()["sessions"] == 1)


def test_a_program_of_no_use_is_named(path, monkeypatch):
    monkeypatch.setenv("LOCKSTORE_PROGRAM", "/no/such/program")
    with pytest.raises(ConnectionError) as raised:
        lockstore.Store(path)
    assert "/no/such/program" in str(raised.value)


def test_the_server_is_called_by_its_name(store, path):
    with open(f"/proc/{server_pid(path)}/comm") as file:
        assert file.read().strip() == "lockstore"
    end_server(path)
    assert not store.is_locked("k")
