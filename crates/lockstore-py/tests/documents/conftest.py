"""A store of its own for each test, and the same collection by lockstore and by an unmodified pymongo on the file's socket."""

import shutil
import tempfile
from pathlib import Path

import pymongo
import pytest

import lockstore


@pytest.fixture
def path():
    """A store's file in a folder whose path is short, as sockets' must be."""
    folder = Path(tempfile.mkdtemp(prefix="ls-"))
    yield folder / "jobs.redb"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def store(path):
    with lockstore.Store(path, idle_exit=0.1) as store:
        yield store


@pytest.fixture
def jobs(store):
    return store.collection("jobs", database="factory")


@pytest.fixture
def theirs(store, path):
    """The same collection, as pymongo has it."""
    with pymongo.MongoClient(lockstore.uri(path)) as client:
        yield client.factory.jobs
