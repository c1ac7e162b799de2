"""Prefect's transactions and flows, with our locks under them."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support import PATIENCE, wait_until
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from prefect.transactions import CommitMode, IsolationLevel, transaction

import lockstore
from lockstore.prefect import LockStoreManager


@pytest.fixture
def results(path, tmp_path):
    def results(**options):
        kept = {
            "result_storage": LocalFileSystem(basepath=str(tmp_path / "results")),
            "metadata_storage": LocalFileSystem(basepath=str(tmp_path / "keys")),
        }
        return ResultStore(lock_manager=LockStoreManager(path, **options), **kept)

    return results


def serializable(key, store, **options):
    return transaction(key=key, store=store, isolation_level=IsolationLevel.SERIALIZABLE, **options)


def test_a_transaction_holds_the_lock_of_its_key(results, store):
    with serializable("k", results()) as txn:
        assert store.is_locked("k")
        txn.stage({"x": 1})
    assert not store.is_locked("k")
    with serializable("k", results()) as txn:
        assert txn.is_committed()
        assert txn.read().result == {"x": 1}


def test_an_explicit_commit_inside_of_the_with_releases_twice_and_nobody_minds(results, store):
    with serializable("k", results()) as txn:
        txn.stage({"x": 1})
        assert txn.commit()
        assert not store.is_locked("k")
        with store.lock("other"):
            pass
    assert not store.is_locked("k")


def test_a_second_release_is_an_error_for_who_wants_it(results):
    def commit_twice():
        with serializable("k", results(strict_release=True)) as txn:
            txn.stage({"x": 1})
            txn.commit()

    # Prefect does not end a transaction whose release has failed: what comes later in this context would be a part of it.
    with pytest.raises(lockstore.NotHeld):
        contextvars.copy_context().run(commit_twice)


def test_a_transaction_that_fails_leaves_nothing_locked(results, store):
    with pytest.raises(ZeroDivisionError), serializable("k", results()) as txn:
        txn.stage({"x": 1})
        raise ZeroDivisionError
    assert not store.is_locked("k")
    with serializable("k", results()) as txn:
        assert not txn.is_committed()


@pytest.mark.parametrize("mode", [CommitMode.LAZY, CommitMode.EAGER, None])
def test_nested_transactions_commit_with_the_outer_one(results, store, mode):
    options = {} if mode is None else {"commit_mode": mode}
    with serializable("outer", results()) as outer:
        with serializable("inner", results(), **options) as inner:
            assert store.is_locked("outer") and store.is_locked("inner")
            inner.stage({"x": 1})
        eager = mode is CommitMode.EAGER
        assert store.is_locked("inner") is not eager, "a lazy one waits for its parent"
        outer.stage({"x": 2})
    assert not store.is_locked("inner") and not store.is_locked("outer")
    assert outer.is_committed() and inner.is_committed()


def test_a_lazy_transaction_alone_commits_at_its_end(results, store):
    with serializable("k", results(), commit_mode=CommitMode.LAZY) as txn:
        txn.stage({"x": 1})
        assert store.is_locked("k")
    assert txn.is_committed() and not store.is_locked("k")


def test_threads_of_one_key_run_one_after_the_other(results):
    bodies = []

    def run():
        with serializable("k", results()) as txn:
            if not txn.is_committed():
                bodies.append(threading.get_ident())
                txn.stage({"x": 1})

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(bodies) == 1


FLOWS = Path(__file__).with_name("flows.py")


def start(what, path, folder, environment):
    command = [sys.executable, str(FLOWS), what, str(path), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_four_tasks_of_one_key_in_a_process_pool_run_the_body_once(path, tmp_path, prefect, store):
    events = store.subscribe()
    done = start("four", path, tmp_path, prefect)
    done.communicate(timeout=PATIENCE)
    assert done.returncode == 0
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    store.close()
    grants = [event for event in events if event.kind == "granted"]
    assert len(grants) == 4 and len({grant.key for grant in grants}) == 1, "each task had the lock once"


def test_a_flow_that_is_killed_in_a_transaction_does_not_block_the_next(path, tmp_path, prefect, store):
    killed = start("hang", path, tmp_path, prefect)
    for line in killed.stdout:
        if line.strip() == "in the body":
            break
    assert len(store.list()) == 1
    killed.kill()
    killed.wait()
    wait_until(lambda: store.list() == [])
    again = start("again", path, tmp_path, prefect)
    again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert len((tmp_path / "log").read_text().splitlines()) == 2
