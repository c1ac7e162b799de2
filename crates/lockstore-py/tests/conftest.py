"""A store of its own for each test, whose server ends with it."""

from __future__ import annotations

import os

import pytest
from support import Script, end_server

import lockstore
from lockstore import _kept


@pytest.fixture
def path(tmp_path):
    tmp_path.chmod(0o700)
    path = tmp_path / "locks.redb"
    yield path
    # What a process keeps open for as long as it lives would outlive the test.
    for key in [key for key in _kept._openings if key[1] == os.path.realpath(path)]:
        if store := _kept._openings.pop(key).opened:
            store.close()
    end_server(path)


@pytest.fixture
def store(path):
    with lockstore.Store(path) as store:
        yield store


@pytest.fixture
def script(path):
    scripts = []

    def start(code):
        scripts.append(Script(path, code))
        return scripts[-1]

    yield start
    for script in scripts:
        if script.process.poll() is None:
            script.kill()
