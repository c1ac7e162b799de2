"""A program with Prefect's flows, started by the tests with what to do, the store's path, and a folder for what it leaves."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.task_runners import ProcessPoolTaskRunner
from prefect.transactions import IsolationLevel

from lockstore.prefect import LockStoreManager

_, what, path, folder = sys.argv
LOG = Path(folder) / "log"
POLICY = INPUTS.configure(
    isolation_level=IsolationLevel.SERIALIZABLE,
    lock_manager=LockStoreManager(path),
    key_storage=str(Path(folder) / "keys"),
)


def note(word):
    with open(LOG, "a") as log:
        log.write(f"{word} {os.getpid()}\n")


@task(cache_policy=POLICY, persist_result=True)
def once(x):
    note("body")
    time.sleep(0.2)
    return x * 2


@flow(task_runner=ProcessPoolTaskRunner(max_workers=4))
def four_tasks_one_key():
    futures = [once.submit(21) for _ in range(4)]
    assert [future.result() for future in futures] == [42] * 4


@task(cache_policy=POLICY, persist_result=True)
def hangs(x):
    note("body")
    if what == "hang":
        print("in the body", flush=True)
        time.sleep(3600)
    return x


@flow
def one_task():
    assert hangs(1) == 1


if __name__ == "__main__":
    {"four": four_tasks_one_key, "hang": one_task, "again": one_task}[what]()
