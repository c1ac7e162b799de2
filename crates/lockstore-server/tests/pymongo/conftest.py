"""A server of our own for each test, and an unmodified pymongo as its client.

LOCKSTORE names the program; `cargo xtask test` builds it.
"""

import os
import subprocess

import pymongo
import pytest


@pytest.fixture
def served(tmp_path):
    tmp_path.chmod(0o700)
    command = [os.environ["LOCKSTORE"], "serve", "--store", str(tmp_path / "jobs.redb")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    uri = server.stdout.readline().strip()
    assert uri, f"the server has ended with {server.wait()}"
    yield uri
    server.terminate()
    assert server.wait(timeout=30) == 0


@pytest.fixture
def client(served):
    with pymongo.MongoClient(served, serverSelectionTimeoutMS=10_000) as client:
        yield client


@pytest.fixture
def jobs(client):
    return client.factory.jobs
