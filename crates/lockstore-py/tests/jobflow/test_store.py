"""maggma's stores in a file: what maggma does with a MongoStore."""

import copy
import datetime
import json
import os
import pickle
import signal

import pytest
import yaml
from jobflow import JobStore
from jobflow_remote.utils.data import store_from_dict
from maggma.stores import MongoStore
from maggma.stores.gridfs import GridFSStore
from monty.json import MontyDecoder, MontyEncoder
from monty.serialization import dumpfn, loadfn
from support import server_pid

import lockstore
from lockstore.jobflow import LockGridFSStore, LockStore


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The server of this file runs for as long as this process does: that is promised."""
    return tmp_path_factory.mktemp("stores") / "jobs.redb"


@pytest.fixture
def tasks(file, request):
    with LockStore(file, request.node.name, key="task", last_updated_field="at") as store:
        store.update([{"task": n, "group": n % 3, "deep": {"odd": n % 2}, "at": datetime.datetime(2026, 1, n + 1)} for n in range(9)])
        yield store


def test_queries(tasks):
    assert isinstance(tasks, MongoStore)
    assert (tasks.count(), tasks.count({"group": 1})) == (9, 3)
    assert tasks.query_one({"task": 4}, properties=["group"])["group"] == 1
    found = tasks.query({"task": {"$gt": 2}}, {"task": 1}, sort={"task": -1}, skip=1, limit=3)
    assert [task["task"] for task in found] == [7, 6, 5]
    assert sorted(tasks.distinct("deep.odd")) == [0, 1]
    groups = tasks.groupby(["group", "deep.odd"], criteria={"task": {"$lt": 6}}, properties=["task"])
    assert {(key["group"], key["deep"]["odd"]): [task["task"] for task in found] for key, found in groups} == {
        (0, 0): [0],
        (1, 1): [1],
        (2, 0): [2],
        (0, 1): [3],
        (1, 0): [4],
        (2, 1): [5],
    }


def test_changes(tasks):
    tasks.update([{"task": 1, "new": True}, {"task": 99}])
    assert tasks.count() == 10
    assert tasks.query_one({"task": 1}, {"_id": 0}) == {"task": 1, "new": True}
    tasks.update({"task": 2, "group": 7}, key=["task", "group"])
    assert tasks.count({"task": 2}) == 2
    tasks.remove_docs({"task": {"$gte": 5}})
    assert sorted(tasks.distinct("task")) == [0, 1, 2, 3, 4]


def test_indexes(tasks):
    assert tasks.ensure_index("task", unique=True)
    assert tasks.ensure_index("task") and tasks.ensure_index("group")
    assert sorted(tasks._collection.index_information()) == ["_id_", "group_1", "task_1"]
    assert not tasks.ensure_index("deep.odd", unique=True), "there are others with the same"


def test_what_is_newer_elsewhere(tasks, file):
    with LockStore(file, "older", key="task", last_updated_field="at") as older:
        older.update(list(tasks.query({"task": {"$lt": 4}})))
        assert older.last_updated == datetime.datetime(2026, 1, 4)
        assert sorted(older.newer_in(tasks)) == sorted(older.newer_in(tasks, exhaustive=True)) == [4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "store",
    [
        LockStore("/folder/jobs.redb", "jobs", database="mine", key="task", safe_update=True, default_sort={"a": 1}),
        LockGridFSStore("/folder/jobs.redb", "blobs", compression=True, searchable_fields=["a"], key="k"),
    ],
    ids=["documents", "files"],
)
def test_a_store_is_written_and_read_by_its_arguments(store, tmp_path):
    copies = [
        pickle.loads(pickle.dumps(store)),
        copy.deepcopy(store),
        type(store).from_dict(store.as_dict()),
        json.loads(json.dumps(store, cls=MontyEncoder), cls=MontyDecoder),
        store_from_dict(store.as_dict()),
    ]
    dumpfn(store.as_dict(), tmp_path / "store.yaml")
    copies.append(MontyDecoder().process_decoded(loadfn(tmp_path / "store.yaml", cls=None)))
    for copied in copies:
        assert copied == store and hash(copied) == hash(store) and copied.as_dict() == store.as_dict()
        assert copied.key == store.key
    assert store != LockStore("/folder/other.redb", "jobs", database="mine")
    assert store.name.startswith("lockstore:///folder/jobs.redb/")
    store.close()


def test_paths_are_those_of_a_shell_and_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert LockStore("~/jobs.redb", "jobs").path == "/home/somebody/jobs.redb"
    assert LockStore("jobs.redb", "jobs").path == str(tmp_path / "jobs.redb")


def test_a_store_connects_again(tasks):
    tasks.close()
    tasks.close()
    tasks.connect()
    tasks.connect(force_reset=True)
    assert tasks.count() == 9


def test_a_file_that_cannot_be_used_is_an_error_of_ours(tmp_path):
    with pytest.raises(lockstore.LockStoreError):
        LockStore(tmp_path / "no folder" / "jobs.redb", "jobs").connect()


def test_files_of_gridfs(file):
    with LockGridFSStore(file, "blobs", key="name", compression=True, ensure_metadata=True) as blobs:
        assert isinstance(blobs, GridFSStore)
        blobs.update([{"name": "large", "text": "x" * 20_000_000}, {"name": "small", "text": "y"}])
        assert blobs.count() == 2 and sorted(blobs.distinct("name")) == ["large", "small"]
        assert len(blobs.query_one({"name": "large"})["text"]) == 20_000_000
        blobs.remove_docs({"name": "large"})
        assert [blob["name"] for blob in blobs.query()] == ["small"]


def test_a_jobstore_keeps_documents_and_blobs_apart(file):
    jobstore = JobStore.from_dict(
        yaml.safe_load(
            f"""
            "@module": jobflow.core.store
            "@class": JobStore
            docs_store: {{"@module": lockstore.jobflow, "@class": LockStore, path: {file}, collection_name: outputs}}
            additional_stores:
              data: {{"@module": lockstore.jobflow, "@class": LockGridFSStore, path: {file}, collection_name: data}}
            """
        )
    )
    with jobstore:
        jobstore.update({"uuid": "u", "index": 1, "output": {"big": {"list": [1] * 1000}}}, save={"data": ["big"]}, key=["uuid", "index"])
        assert "blob_uuid" in jobstore.query_one({"uuid": "u"})["output"]["big"]
        assert jobstore.query_one({"uuid": "u"}, load=True)["output"]["big"] == {"list": [1] * 1000}


def test_a_server_that_is_killed_is_followed_by_another(tasks, file):
    """An unmodified pymongo finds the next, which this process has started."""
    for _ in range(3):
        os.kill(server_pid(file), signal.SIGKILL)
        tasks.update({"task": 1, "again": True})
        assert tasks.count({"again": True}) == 1
