"""Locks of documents: ours on our collection, ours on pymongo's, and jobflow-remote's own, on the same documents."""

import contextlib
import datetime
import gc
import logging
import os
import threading

import pytest
from bson.datetime_ms import DatetimeMS
from jobflow_remote.utils import db
from support import LEASE, PATIENCE, wait_until

import lockstore
from lockstore import MongoLock, errors, mongo_lock


@pytest.fixture(params=["ours", "pymongo"])
def where(request, jobs, theirs):
    """A collection for our lock: the same documents by lockstore and by pymongo."""
    return jobs if request.param == "ours" else theirs


@pytest.fixture
def job(jobs):
    jobs.insert_one({"_id": 1, "state": "READY", "n": 0, "log": [], "lock_id": None})
    return lambda: jobs.find_one(1)


def test_a_document_is_locked_updated_and_released(where, job):
    with MongoLock(where, {"state": "READY"}, update={"$set": {"state": "RUNNING"}, "$inc": {"n": 1}}) as lock:
        assert not lock.is_locked and lock.holds()
        held = job()
        assert (held["state"], held["n"], held["lock_id"]) == ("RUNNING", 1, lock.lock_id)
        assert lock.locked_document == held
        assert MongoLock.get_lock_id(held) == lock.lock_id
        assert abs(MongoLock.get_lock_time(held) - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)).seconds < 60
        lock.update_on_release = {"$set": {"state": "DONE"}, "$push": {"log": "x"}}
    assert job() == {"_id": 1, "state": "DONE", "n": 1, "log": ["x"], "lock_id": None, "lock_time": None}
    assert lock.locked_document is None and lock.is_locked


TABLE = [
    # Who holds it, the lock_id that asks, and how: locked, unavailable, and whether the update was made.
    ("other", "mine", {}, (False, False, False)),
    ("mine", "mine", {}, (False, False, False)),
    ("", "mine", {}, (False, False, False)),
    ("other", "mine", {"get_locked_doc": True}, (False, True, False)),
    ("mine", "mine", {"get_locked_doc": True}, (True, False, False)),
    ("", "mine", {"get_locked_doc": True}, (False, True, False)),
    ("other", "mine", {"sleep": 0.01, "max_wait": 0.05}, (False, True, False)),
    ("mine", "mine", {"sleep": 0.01, "max_wait": 0.05}, (True, False, False)),
    ("", "mine", {"sleep": 0.01, "max_wait": 0.05}, (False, True, False)),
    ("other", "mine", {"break_lock": True}, (True, False, True)),
    ("mine", "mine", {"break_lock": True}, (True, False, True)),
    ("", "mine", {"break_lock": True}, (True, False, True)),
    (None, "mine", {}, (True, False, True)),
    (None, "mine", {"get_locked_doc": True}, (True, False, True)),
]


@pytest.mark.parametrize("holder, lock_id, how, expected", TABLE)
@pytest.mark.parametrize("kind", ["ours", "pymongo", "jobflow-remote"])
def test_who_meets_a_locked_document(kind, jobs, theirs, job, holder, lock_id, how, expected):
    jobs.update_one({"_id": 1}, {"$set": {"lock_id": holder}})
    make = db.MongoLock if kind == "jobflow-remote" else MongoLock
    lock = make(jobs if kind == "ours" else theirs, {"_id": 1}, update={"$set": {"n": 1}}, lock_id=lock_id, **how)
    lock.acquire()
    assert (lock.locked_document is not None, lock.unavailable_document is not None, job()["n"] == 1) == expected
    if expected[1]:
        assert lock.unavailable_document == job()
    if expected[0]:
        lock.release(None, None, None)
        assert job()["lock_id"] is None


def test_a_locked_document_is_passed_over_for_the_next_that_is_free(where, jobs):
    jobs.insert_many([{"_id": n, "lock_id": None} for n in range(3)])
    locks = [MongoLock(where, {}, sort=[("_id", -1)]) for _ in range(4)]
    for lock in locks:
        lock.acquire()
    assert [lock.locked_document and lock.locked_document["_id"] for lock in locks] == [2, 1, 0, None]
    locks[1].release()
    assert jobs.find_one({"lock_id": None})["_id"] == 1


@pytest.mark.parametrize("how", [{}, {"get_locked_doc": True}, {"break_lock": True}])
def test_every_operator_and_pipelines_mean_the_same_in_every_mode(where, job, how):
    operators = {"$inc": {"n": 5}, "$push": {"log": "$state"}, "$set": {"text": "$state"}}
    with MongoLock(where, {"_id": 1}, update=operators, **how) as lock:
        found = lock.locked_document
        assert (found["n"], found["log"], found["text"]) == (5, ["$state"], "$state")
    with MongoLock(where, {"_id": 1}, update=[{"$set": {"text": "$n"}}], **how) as lock:
        assert lock.locked_document["text"] == 5
        lock.update_on_release = [{"$set": {"n": {"$add": ["$n", 1]}}}]
    assert (job()["n"], job()["lock_id"]) == (6, None)


@pytest.mark.parametrize(
    "projection, fields",
    [
        (["state"], {"state"}),
        ({"n": 1, "_id": 0}, {"n"}),
        ({"log": {"$slice": 1}, "n": 1}, {"n", "log"}),
        ({"log": 0, "lock_id": 0}, {"state", "n"}),
        (None, {"state", "n", "log"}),
    ],
)
def test_a_projection_is_kept_and_brings_the_lock_along(where, job, projection, fields):
    with MongoLock(where, {"_id": 1}, projection=projection) as lock:
        assert set(lock.locked_document) == fields | {"_id", "lock_id", "lock_time"}
        assert lock.locked_document["lock_id"] == lock.lock_id


def test_an_exception_releases_the_document_and_goes_on(where, job, caplog):
    for on_release in ("update_on_release", "delete_on_release"):
        with pytest.raises(ZeroDivisionError), MongoLock(where, {"_id": 1}) as lock:
            setattr(lock, on_release, {"$set": {"n": 9}} if on_release.startswith("update") else True)
            1 / 0
        assert (job()["n"], job()["lock_id"]) == (0, None)
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert texts == [
        "A <class 'ZeroDivisionError'> exception was raised while the document was locked. "
        "The update_on_release {'$set': {'n': 9}} will not be applied.",
        "A <class 'ZeroDivisionError'> exception was raised while the document was locked. "
        "The document will not be deleted, as instead requested by delete_on_release.",
    ]


def test_a_document_is_deleted_on_release(where, job):
    with MongoLock(where, {"_id": 1}) as lock:
        lock.delete_on_release = True
    assert job() is None


def test_update_and_deletion_on_release_exclude_each_other(where, job):
    with MongoLock(where, {"_id": 1}) as lock:
        lock.delete_on_release = True
        with pytest.raises(ValueError, match="^delete_on_release and update_on_release cannot be set simultaneously$"):
            lock.update_on_release = {"$set": {"n": 1}}
        lock.delete_on_release = False
        lock.update_on_release = {"$set": {"n": 1}}
        with pytest.raises(ValueError, match="^delete_on_release and update_on_release cannot be set simultaneously$"):
            lock.delete_on_release = True
    assert job()["n"] == 1


@pytest.mark.parametrize(
    "update", [{"$set": {"lock_id": "x"}}, {"$unset": {"lock_time": ""}}, [{"$set": {"n": 1}}, {"$unset": "lock_id"}]]
)
def test_an_update_on_release_of_the_locks_own_fields_is_refused_when_it_is_set(where, job, update):
    with MongoLock(where, {"_id": 1}) as lock:
        with pytest.raises(ValueError, match="lock_id|lock_time"):
            lock.update_on_release = update
    assert (job()["n"], job()["lock_id"]) == (0, None)


def test_what_is_no_update_is_refused_when_it_is_set(jobs, job):
    with MongoLock(jobs, {"_id": 1}) as lock:
        with pytest.raises(ValueError):
            lock.update_on_release = {"$nothing": {"n": 1}}
    assert job()["lock_id"] is None


@pytest.mark.parametrize("update", [{"n": 1}, {"$nothing": {"n": 1}}, {"$set": {"n": object()}}, {"$set": {"n": 1}, "$inc": {"n": 1}}])
def test_what_is_no_update_leaves_nothing_locked_when_it_was_set_before(jobs, job, update):
    lock = MongoLock(jobs, {"_id": 1})
    lock.update_on_release = update
    with pytest.raises(ValueError):
        lock.acquire()
    assert lock.locked_document is None
    assert (job()["n"], job().get("lock_id")) == (0, None)


def test_an_update_on_release_is_made_as_it_is_then(where, job):
    with MongoLock(where, {"_id": 1}) as lock:
        lock.update_on_release = {"$set": {"state": "DONE"}}
        lock.update_on_release["$set"]["n"] = 7
        lock.update_on_release["$push"] = {"log": "x"}
    assert (job()["state"], job()["n"], job()["log"], job()["lock_id"]) == ("DONE", 7, ["x"], None)
    with MongoLock(where, {"_id": 1}) as lock:
        lock.update_on_release["$set"] = {"n": 8}
    assert (job()["n"], job()["lock_id"]) == (8, None)


def test_an_update_on_release_that_has_become_none_releases_the_document(where, job):
    for changed in ({"lock_id": "x"}, {"lock_time.x": 1}):
        with pytest.raises(ValueError, match="lock_id|lock_time"), MongoLock(where, {"_id": 1}) as lock:
            lock.update_on_release = {"$set": {"n": 9}}
            lock.update_on_release["$set"] |= changed
        assert (job()["n"], job()["lock_id"]) == (0, None)
        assert lock.locked_document is None
    with pytest.raises(ValueError, match="cannot be set simultaneously"), MongoLock(where, {"_id": 1}) as lock:
        lock.delete_on_release = True
        lock.update_on_release["$set"] = {"n": 9}
    assert (job()["n"], job()["lock_id"]) == (0, None)


def test_a_document_that_cannot_be_read_is_not_left_locked(jobs, theirs):
    theirs.insert_one({"_id": 1, "when": DatetimeMS(2**60), "lock_id": None})
    with pytest.raises(errors.InvalidDocument):
        MongoLock(jobs, {"_id": 1}).acquire()
    assert theirs.find_one(1, {"lock_id": 1}) == {"_id": 1, "lock_id": None}


@pytest.mark.parametrize("on_release", [{}, {"update_on_release": {"$set": {"n": 1}}}, {"delete_on_release": True}])
def test_a_lock_that_was_broken_meanwhile_is_an_error_that_says_who_has_it(where, jobs, job, on_release):
    lock = MongoLock(where, {"_id": 1})
    lock.acquire()
    for name, value in on_release.items():
        setattr(lock, name, value)
    jobs.update_one({"_id": 1}, {"$set": {"lock_id": "thief"}})
    assert not lock.holds()
    with pytest.raises(errors.DocumentLockLost, match="thief has locked it now") as lost:
        lock.release()
    assert lost.value.holder == "thief" and isinstance(lost.value, RuntimeError)
    assert (job()["n"], job()["lock_id"]) == (0, "thief")


def test_a_broken_lock_hides_no_exception(where, jobs, job, caplog):
    with pytest.raises(ZeroDivisionError), MongoLock(where, {"_id": 1}):
        jobs.update_one({"_id": 1}, {"$set": {"lock_id": None}})
        1 / 0
    assert "Could not release lock for document 1" in caplog.text


def test_two_kinds_of_locks_keep_each_other_out(where, theirs, job):
    """jobflow-remote's and ours, in both directions."""
    with db.MongoLock(theirs, {"_id": 1}) as first:
        assert first.locked_document
        with MongoLock(where, {"_id": 1}, get_locked_doc=True) as second:
            assert second.unavailable_document["lock_id"] == first.lock_id
    with MongoLock(where, {"_id": 1}) as first:
        with db.MongoLock(theirs, {"_id": 1}, get_locked_doc=True) as second:
            assert second.unavailable_document["lock_id"] == first.lock_id
    assert job()["lock_id"] is None


@pytest.mark.parametrize("holder", ["ours", "jobflow-remote"])
def test_who_waits_is_woken_by_the_release_of_either(jobs, theirs, job, holder):
    """With a sleep of an hour nobody looks again in the time of this test."""
    first = MongoLock(jobs, {"_id": 1}) if holder == "ours" else db.MongoLock(theirs, {"_id": 1})
    first.acquire()
    waiter = MongoLock(jobs, {"_id": 1}, sleep=3600)
    thread = threading.Thread(target=waiter.acquire)
    thread.start()
    wait_until(lambda: _waiters(jobs))
    first.release(None, None, None)
    thread.join(PATIENCE)
    assert waiter.locked_document["lock_id"] == waiter.lock_id == job()["lock_id"]
    waiter.release()


def test_who_waits_long_enough_is_told_who_has_it(where, jobs, job):
    jobs.update_one({"_id": 1}, {"$set": {"lock_id": "other"}})
    with MongoLock(where, {"_id": 1}, sleep=0.05, max_wait=0.2) as lock:
        assert lock.is_locked and lock.unavailable_document["lock_id"] == "other"


def test_a_lock_with_a_ttl_ends_by_itself_and_is_kept_while_its_process_lives(jobs, job):
    kept = MongoLock(jobs, {"_id": 1}, ttl=LEASE)
    kept.acquire()
    first_end = job()["lock_expires_at"]
    assert first_end > job()["lock_time"]
    wait_until(lambda: job()["lock_expires_at"] > first_end)
    assert kept.holds() and job()["lock_id"] == kept.lock_id
    kept.renew(datetime.timedelta(minutes=5))
    assert (job()["lock_expires_at"] - job()["lock_time"]).seconds > 60
    kept.release()
    left = MongoLock(jobs, {"_id": 1}, ttl=0.1, keep_alive=False)
    left.acquire()
    with MongoLock(jobs, {"_id": 1}, sleep=3600) as next_one:
        assert next_one.locked_document and next_one.token > 0
        assert not left.holds()
        with pytest.raises(errors.DocumentLockLost):
            left.renew()
        with pytest.raises(errors.DocumentLockLost):
            left.release()


def test_a_lock_that_ends_with_its_process_is_free_when_that_is_killed(jobs, job, script):
    holder = script(
        """
jobs = lockstore.Store(path).collection("jobs", database="factory")
lock = lockstore.MongoLock(jobs, {"_id": 1}, ends_with_process=True, show_token=True)
lock.acquire()
print(lock.lock_id)
time.sleep(600)
"""
    )
    lock_id = holder.line()
    assert job()["lock_id"] == lock_id and job()["lock_token"] > 0
    holder.kill()
    with MongoLock(jobs, {"_id": 1}, sleep=3600) as lock:
        assert lock.locked_document


def test_a_lock_of_a_killed_process_stays_unless_it_was_to_end(jobs, job, script):
    holder = script(
        """
jobs = lockstore.Store(path).collection("jobs", database="factory")
lock = lockstore.MongoLock(jobs, {"_id": 1})
lock.acquire()
print(lock.lock_id)
time.sleep(600)
"""
    )
    lock_id = holder.line()
    holder.kill()
    with MongoLock(jobs, {"_id": 1}, get_locked_doc=True) as lock:
        assert lock.unavailable_document["lock_id"] == lock_id


def test_many_threads_take_each_job_once(where, jobs):
    jobs.insert_many([{"_id": n, "state": "READY", "lock_id": None} for n in range(60)])
    taken = []

    def work():
        while True:
            with MongoLock(where, {"state": "READY"}) as lock:
                if lock.locked_document is None:
                    return
                taken.append(lock.locked_document["_id"])
                lock.update_on_release = {"$set": {"state": "DONE"}}

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(60))


def test_arguments_are_those_of_a_find_one_and_update(where, jobs):
    jobs.insert_one({"_id": 1, "steps": [{"n": 1}, {"n": 2}], "lock_id": None})
    with MongoLock(
        where,
        {"$expr": {"$eq": ["$_id", "$$one"]}},
        update={"$set": {"steps.$[s].done": True}},
        array_filters=[{"s.n": 2}],
        hint="_id_",
        let={"one": 1},
        comment="a comment",
        collation={"locale": "simple"},
        maxTimeMS=10_000,
    ) as lock:
        assert lock.locked_document["steps"] == [{"n": 1}, {"n": 2, "done": True}]


def test_other_arguments_are_refused(jobs):
    with pytest.raises(TypeError, match="'nonsense'"):
        MongoLock(jobs, {}, nonsense=1)


def test_what_only_a_store_can_do_is_refused_elsewhere(theirs):
    for only_ours in ({"ttl": 1}, {"ends_with_process": True}, {"show_token": True}):
        with pytest.raises(ValueError, match="for collections of lockstore"):
            MongoLock(theirs, {}, **only_ours)


def test_errors_have_the_texts_of_jobflow_remote():
    doc = {"db_id": "7", "uuid": "u", "lock_id": "x", "lock_time": datetime.datetime(2026, 1, 2, 3, 4, 5, 6)}
    for ours, theirs, make in (
        (mongo_lock.JobLockedError, db.JobLockedError, "from_job_doc"),
        (mongo_lock.FlowLockedError, db.FlowLockedError, "from_flow_doc"),
        (mongo_lock.RunnerLockedError, db.RunnerLockedError, "from_runner_doc"),
    ):
        for document in (doc, {**doc, "lock_time": None}):
            for more in (None, "Look again."):
                assert str(getattr(ours, make)(document, more)) == str(getattr(theirs, make)(document, more))
        assert issubclass(ours, mongo_lock.LockedDocumentError) and issubclass(ours, lockstore.LockStoreError)


def _waiters(jobs):
    return jobs._store.stats()["waiters"]


def test_a_lock_that_has_locked_nothing_does_not_keep_the_store_open(path):
    def connections():
        found = 0
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                found += os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        return found

    before = connections()
    for _ in range(3):
        store = lockstore.Store(path)
        with MongoLock(store.collection("jobs"), {"_id": "none"}) as lock:
            assert lock.locked_document is None
        del store, lock
        gc.collect()
    wait_until(lambda: connections() <= before)
