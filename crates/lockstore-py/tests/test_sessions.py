"""What becomes of a process that could not reach the server for so long that its session has ended."""

from __future__ import annotations

import os
import signal

from support import server_pid, wait_until

AWAY = """
import asyncio, threading
from lockstore.prefect import LockStoreManager

stores = [lockstore.Store(path) for _ in range(5)]
held = [store.lock(f"old {number}").acquire() for number, store in enumerate(stores)]
manager = LockStoreManager(path)
assert manager.acquire_lock("old", "me")
waited = []
waiting = threading.Thread(target=lambda: waited.append(stores[4].lock("waited for", "waiting").acquire()))
waiting.start()
print("held")
sys.stdin.readline()

locks = [store.lock(f"new {number}") for number, store in enumerate(stores[:3])]
locks[0].acquire(0)
assert locks[1].try_acquire()
asyncio.run(locks[2].acquire_async(0))
assert manager.acquire_lock("new", "me", 0)
jobs = stores[3].collection("jobs", database="factory")
with lockstore.MongoLock(jobs, {"_id": 1}, ends_with_process=True) as lock:
    assert lock.locked_document
for lock in held:
    try:
        lock.release()
    except lockstore.LeaseLost:
        continue
    raise AssertionError("it had been lost")
waiting.join()
print("fine")
sys.stdin.readline()
"""


def test_who_was_away_for_too_long_begins_another_session_by_itself(store, path, script):
    store.collection("jobs", database="factory").insert_one({"_id": 1})
    store.lock("waited for", "somebody", session=False).acquire().leak()
    other = script(AWAY)
    assert other.line() == "held"
    wait_until(lambda: store.inspect("waited for").waiters == 1)
    os.kill(other.process.pid, signal.SIGSTOP)
    os.kill(server_pid(path), signal.SIGKILL)
    wait_until(lambda: store.stats()["sessions"] == 0)
    assert [lock.key for lock in store.list()] == ["waited for"]
    os.kill(other.process.pid, signal.SIGCONT)
    other.tell()
    wait_until(lambda: store.inspect("waited for").waiters == 1)
    store.release("waited for", "somebody")
    assert other.line() == "fine"
    locked = {lock.key: lock.holders[0].session for lock in store.list()}
    assert locked == {"new": True, "new 0": True, "new 1": True, "new 2": True, "waited for": True}
    other.kill()
    wait_until(lambda: store.list() == [])

