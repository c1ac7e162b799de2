"""The same collection by lockstore and by an unmodified pymongo on the file's socket."""

import pymongo
import pytest


@pytest.fixture
def jobs(store):
    return store.collection("jobs", database="factory")


@pytest.fixture
def client(store):
    """pymongo, on the same store."""
    with pymongo.MongoClient(store.uri) as client:
        yield client


@pytest.fixture
def theirs(client):
    """The same collection, as pymongo has it."""
    return client.factory.jobs
