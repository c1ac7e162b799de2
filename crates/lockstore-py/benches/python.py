"""`cargo xtask bench python`: what locks and locked documents cost from Python, beside what people use today, in one run.

Prefect's lock managers are called as Prefect calls them, and jobflow-remote's MongoLock is its own, on mongomock and on a mongod that the
environment variable MONGOD names. It tells ratios and which targets are reached, and fails for none.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lockstore
from lockstore.prefect import LockStoreManager

OURS = "lockstore"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    seconds: float
    handoffs: int


FULL = Scale(rounds=5, seconds=1.0, handoffs=60)
QUICK = Scale(rounds=2, seconds=0.2, handoffs=6)


@dataclass(frozen=True)
class Target:
    """Ours is to be so many times as good as a peer's."""

    figure: str
    peer: str
    times: float


TARGETS = [
    Target("hand-off, 1/s", "FileSystemLockManager", 50),
    Target("hand-off, 1/s", "RedisLockManager", 50),
    Target("acquire+release, 1/s", "FileSystemLockManager", 2),
    Target("MongoLock on 1000 documents, 1/s", "mongod", 1.5),
    Target("MongoLock on 10000 documents, 1/s", "mongod", 1.5),
    Target("MongoLock on 1000 documents, 1/s", "mongomock", 5),
    Target("MongoLock on 10000 documents, 1/s", "mongomock", 50),
]


@dataclass
class Report:
    """What was measured: by the name of a figure, each contender's."""

    figures: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, figure: str, contender: str, value: float) -> None:
        self.figures.setdefault(figure, {})[contender] = value

    def show(self, title: str, columns: list[tuple[str, Callable[[str], str]]], contenders: list[str]) -> None:
        """Prints a table with a line for each contender."""
        width = max(len(name) for name in contenders)
        print(f"\n{title}")
        print(f"| {'':{width}} | " + " | ".join(f"{name:>14}" for name, _ in columns) + " |")
        print(f"|{'-' * (width + 2)}|" + "|".join("-" * 15 + ":" for _ in columns) + "|")
        for name in contenders:
            print(f"| {name:{width}} | " + " | ".join(f"{cell(name):>14}" for _, cell in columns) + " |")

    def ratio(self, figure: str, peer: str) -> float | None:
        """How many times a peer's ours is."""
        values = self.figures.get(figure, {})
        return values[OURS] / values[peer] if OURS in values and peer in values else None


def rate(call: Callable[[], None], scale: Scale) -> float:
    """How often a second it can be called: the median of the rounds."""
    call()
    rates = []
    for _ in range(scale.rounds):
        calls, begun = 0, time.perf_counter()
        while (took := time.perf_counter() - begun) < scale.seconds:
            call()
            calls += 1
        rates.append(calls / took)
    return statistics.median(rates)


# Lock managers.


@contextlib.contextmanager
def managers(folder: Path) -> Iterator[dict[str, Any]]:
    """Prefect's lock managers, and ours."""
    from prefect.locking.filesystem import FileSystemLockManager
    from prefect.locking.memory import MemoryLockManager

    contenders: dict[str, Any] = {
        OURS: LockStoreManager(folder / "locks.redb"),
        "MemoryLockManager": MemoryLockManager(),
        "FileSystemLockManager": FileSystemLockManager(folder / "lock-files"),
    }
    with redis(folder) as port:
        if port:
            from prefect_redis import RedisLockManager

            contenders["RedisLockManager"] = RedisLockManager(port=port)
        yield contenders


def measure_locks(folder: Path, scale: Scale, report: Report) -> None:
    with managers(folder) as contenders:
        for name, manager in contenders.items():

            def acquire_and_release(manager: Any = manager) -> None:
                manager.acquire_lock("key", "holder")
                manager.release_lock("key", "holder")

            report.add("acquire+release, 1/s", name, rate(acquire_and_release, scale))
            took = sorted(handoff(manager) for _ in range(scale.handoffs))
            report.add("hand-off, 1/s", name, 1 / statistics.median(took))
            report.add("hand-off p50, ms", name, 1e3 * statistics.median(took))
            report.add("hand-off p95, ms", name, 1e3 * took[int(len(took) * 0.95)])
        show_locks(report, list(contenders))


def handoff(manager: Any) -> float:
    """How many seconds pass from before a release until another thread that waits has the lock."""
    key, had = uuid.uuid4().hex, 0.0
    manager.acquire_lock(key, "first")

    def wait() -> None:
        nonlocal had
        manager.acquire_lock(key, "second")
        had = time.perf_counter()

    waiter = threading.Thread(target=wait)
    waiter.start()
    # It waits by then, and who polls is met at any moment.
    time.sleep(0.05 + random.random() * 0.1)
    begun = time.perf_counter()
    manager.release_lock(key, "first")
    waiter.join()
    # Redis's forgets the new holder, when the old one's release ends behind the hand-off. Nobody asks for this key again.
    with contextlib.suppress(ValueError):
        manager.release_lock(key, "second")
    return had - begun


def show_locks(report: Report, contenders: list[str]) -> None:
    figures = report.figures
    report.show(
        "Locks, from one thread, and handed on between two",
        [
            ("acq+rel / s", lambda name: f"{figures['acquire+release, 1/s'][name]:,.0f}"),
            ("ours is", lambda name: times(report.ratio("acquire+release, 1/s", name))),
            ("hand-off p50", lambda name: f"{figures['hand-off p50, ms'][name]:.2f} ms"),
            ("p95", lambda name: f"{figures['hand-off p95, ms'][name]:.2f} ms"),
            ("ours is", lambda name: times(report.ratio("hand-off, 1/s", name))),
        ],
        contenders,
    )


# Locked documents.


@contextlib.contextmanager
def collections(folder: Path) -> Iterator[dict[str, tuple[Any, Any]]]:
    """Where documents are, and the class that locks them."""
    import mongomock
    from jobflow_remote.utils import db

    contenders: dict[str, tuple[Any, Any]] = {
        OURS: (lockstore.Store(folder / "documents.redb").collection("jobs"), lockstore.MongoLock),
        "mongomock": (mongomock.MongoClient().bench.jobs, db.MongoLock),
    }
    with mongod(folder) as client:
        if client is not None:
            contenders["mongod"] = (client.bench.jobs, db.MongoLock)
        yield contenders


def measure_documents(folder: Path, scale: Scale, report: Report) -> None:
    with collections(folder) as contenders:
        for documents in (1_000, 10_000):
            figure = f"MongoLock on {documents} documents, 1/s"
            for name, (collection, lock) in contenders.items():
                collection.drop()
                collection.insert_many([job(number) for number in range(documents)])
                # mongomock looks through all documents in any case.
                collection.create_index("db_id", unique=True)

                def lock_and_release(collection: Any = collection, lock: Any = lock) -> None:
                    with lock(collection, {"db_id": str(random.randrange(documents))}) as locked:
                        assert locked.locked_document

                report.add(figure, name, rate(lock_and_release, scale))
            report.show(
                f"MongoLock: a document locked and released, of {documents:,}",
                [
                    ("acq+rel / s", lambda name, figure=figure: f"{report.figures[figure][name]:,.0f}"),
                    ("ours is", lambda name, figure=figure: times(report.ratio(figure, name))),
                ],
                list(contenders),
            )


def job(number: int) -> dict[str, Any]:
    """A document as jobflow-remote has them."""
    return {
        "_id": number,
        "db_id": str(number),
        "uuid": str(uuid.UUID(int=number)),
        "index": 1,
        "state": "READY",
        "worker": "local",
        "priority": 0,
        "parents": [],
        "job": {"name": "add", "function_args": [1, 2], "function_kwargs": {}, "metadata": {}},
        "remote": {"step_attempts": 0, "process_id": None, "retry_time_limit": None},
        "lock_id": None,
        "lock_time": None,
    }


# Servers.


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[int | None]:
    """The port of a redis-server, if there is one."""
    program = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if not program:
        print("no redis-server: RedisLockManager is left out")
        yield None
        return
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with running(command, port):
        yield port


@contextlib.contextmanager
def mongod(folder: Path) -> Iterator[Any]:
    """A client of a mongod whose writes are journalled, if MONGOD names one."""
    program = os.environ.get("MONGOD")
    if not program:
        print("MONGOD names no mongod: it is left out")
        yield None
        return
    import pymongo

    port, data = free_port(), folder / "mongod"
    data.mkdir()
    command = [program, "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", str(data)]
    with running(command, port), pymongo.MongoClient("127.0.0.1", port, w=1, journal=True) as client:
        client.admin.command("ping")
        yield client


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """A server, once it listens."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if server.poll() is not None:
                raise SystemExit(f"{command[0]} has ended with {server.returncode}")
            time.sleep(0.05)
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:,.2f}x"


SCENARIOS = {"locks": measure_locks, "documents": measure_documents}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorten all: less than a minute")
    parser.add_argument("--only", choices=SCENARIOS, help="run this scenario only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    parser.add_argument("--check", action="store_true", help="compare the figures with the targets")
    parser.add_argument("--dir", type=Path, metavar="FOLDER", help="measure in this folder, which must be on a disk")
    options = parser.parse_args()
    report, scale = Report(), QUICK if options.quick else FULL
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}; {options.dir or tempfile.gettempdir()}")
    if options.quick:
        print("--quick: shortened; the targets apply to a full run only")
    with tempfile.TemporaryDirectory(prefix="lockstore-bench-", dir=options.dir, ignore_cleanup_errors=True) as folder:
        for name, measure in SCENARIOS.items():
            if options.only in (None, name):
                measure(Path(folder), scale, report)
    if options.json:
        options.json.write_text(json.dumps(report.figures, indent=2))
    if options.check:
        print()
        for target in TARGETS:
            if (ratio := report.ratio(target.figure, target.peer)) is not None:
                verdict = "reached" if ratio >= target.times else "MISSED"
                print(f"{verdict}: {target.figure}: {times(ratio)} of {target.peer}, to reach {target.times}x")


if __name__ == "__main__":
    main()
