"""jobflow-remote's own lock and ours on the same documents of a replica set, at the same time."""

from __future__ import annotations

import threading

import pytest
from jobflow_remote.utils import db
from support import PATIENCE, wait_until

import lockstore
from lockstore import MongoLock


@pytest.fixture
def job(jobs):
    jobs.insert_one({"_id": 1, "state": "READY", "lock_id": None})
    return lambda: jobs.find_one(1)


@pytest.mark.parametrize("holder", ["ours", "jobflow-remote"])
def test_who_waits_is_woken_by_the_release_of_either(jobs, theirs, client, job, holder):
    """With a sleep of an hour nobody looks again in the time of this test."""
    first = MongoLock(jobs, {"_id": 1}) if holder == "ours" else db.MongoLock(theirs, {"_id": 1})
    first.acquire()
    waiter = MongoLock(jobs, {"_id": 1}, sleep=3600)
    thread = threading.Thread(target=waiter.acquire)
    thread.start()
    wait_until(lambda: watched(client))
    first.release(None, None, None)
    thread.join(PATIENCE)
    assert waiter.locked_document["lock_id"] == waiter.lock_id == job()["lock_id"]
    waiter.release()


def watched(client):
    """Whether somebody follows the changes of documents."""
    running = client.admin.aggregate([{"$currentOp": {"idleCursors": True}}, {"$match": {"ns": {"$regex": "^factory"}}}])
    return any("$changeStream" in str(operation) for operation in running)


def test_who_of_them_polls_gets_what_ours_releases(jobs, theirs, job):
    first = MongoLock(jobs, {"_id": 1})
    first.acquire()
    waiter = db.MongoLock(theirs, {"_id": 1}, sleep=0.05)
    thread = threading.Thread(target=waiter.acquire)
    thread.start()
    first.release()
    thread.join(PATIENCE)
    assert waiter.locked_document["lock_id"] == waiter.lock_id == job()["lock_id"]
    waiter.release(None, None, None)


def test_each_breaks_the_others_lock_and_the_loser_is_told(jobs, theirs, job):
    ours = MongoLock(jobs, {"_id": 1}, ttl=3600, show_token=True)
    ours.acquire()
    ours.update_on_release = {"$set": {"state": "OURS"}}
    with db.MongoLock(theirs, {"_id": 1}, break_lock=True) as broke:
        assert job()["lock_id"] == broke.lock_id
        assert not ours.holds()
        with pytest.raises(lockstore.errors.DocumentLockLost) as lost:
            ours.release()
        assert lost.value.holder == broke.lock_id
        # And back again.
        again = MongoLock(jobs, {"_id": 1}, break_lock=True)
        again.acquire()
        assert job()["lock_id"] == again.lock_id != broke.lock_id
    assert job()["lock_id"] == again.lock_id, "who has lost it releases nothing"
    again.release()
    assert (job()["lock_id"], job()["state"]) == (None, "READY")


def test_contenders_of_both_kinds_in_several_processes_never_overlap(jobs, theirs, script, members):
    jobs.insert_one({"_id": 1, "lock_id": None})
    theirs.insert_one({"_id": "counter", "n": 0})
    count = (
        "import pymongo\n"
        "from jobflow_remote.utils import db\n"
        "theirs = pymongo.MongoClient(path, w='majority').factory.jobs\n"
        "ours = lockstore.Store(path).collection('jobs', database='factory')\n"
        "print('ready')\n"
        "sys.stdin.readline()\n"
        f"for _ in range({ROUNDS}):\n"
        "    with {} as lock:\n"
        "        assert lock.locked_document\n"
        # Nothing but the lock keeps two from each other here.
        "        n = theirs.find_one('counter')['n']\n"
        "        theirs.update_one({{'_id': 'counter'}}, {{'$set': {{'n': n + 1}}}})\n"
    )
    kinds = ["lockstore.MongoLock(ours, {'_id': 1}, sleep=3600)", "db.MongoLock(theirs, {'_id': 1}, sleep=0.01)"]
    contenders = [script(count.format(kind)) for kind in kinds * 2]
    for contender in contenders:
        assert contender.line() == "ready"
    for contender in contenders:
        contender.tell()
    for contender in contenders:
        contender.end()
    assert theirs.find_one("counter")["n"] == ROUNDS * len(contenders)
    assert jobs.find_one(1)["lock_id"] is None


#: How often each of them counts.
ROUNDS = 15
