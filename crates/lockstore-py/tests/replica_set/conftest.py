"""A replica set for all tests here, on which each finds nothing of the others."""

from __future__ import annotations

import sys
from pathlib import Path

import pymongo
import pytest
from members import replica_set

from lockstore import _kept

# Where the tests of files are that are run here too.
for folder in ("documents", "prefect"):
    sys.path.append(str(Path(__file__).parent.parent / folder))


@pytest.fixture(scope="session")
def members():
    with replica_set() as address:
        yield address


@pytest.fixture(scope="session")
def client(members):
    """pymongo, there."""
    with pymongo.MongoClient(members) as client:
        yield client


@pytest.fixture
def path(members, client):
    """What a store is opened by: the address."""
    yield members
    for key in [key for key in _kept._openings if key[1] == members]:
        if store := _kept._openings.pop(key).opened:
            store.close()
    _kept._by_spelling.clear()
    for name in client.list_database_names():
        if name == "lockstore":
            # Its indexes take a while to be made.
            for collection in client[name].list_collection_names():
                client[name][collection].delete_many({})
        elif name not in ("admin", "config", "local"):
            client.drop_database(name)


@pytest.fixture
def jobs(store):
    return store.collection("jobs", database="factory")


@pytest.fixture
def theirs(client):
    """The same collection, as pymongo has it."""
    return client.factory.jobs
