"""A lock that people use today, which measures itself: `python peers.py PEER URI DATABASE`, and a line for each order.

`pairs MS` acquires and releases for so many ms; `handoffs N` hands a lock on between two clients. Both answer with a line of JSON, how many
ns each took.
"""

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

LOOK_AGAIN = 0.1


class Jobflow:
    """jobflow-remote's MongoLock on a document."""

    def __init__(self, uri, database):
        import pymongo
        from jobflow_remote.utils.db import MongoLock

        self.lock_of = MongoLock
        self.jobs = pymongo.MongoClient(uri, w="majority")[database].jobs

    def prepare(self, key):
        self.jobs.insert_one({"_id": key, "lock_id": None, "lock_time": None})

    def acquire(self, key):
        self.lock = self.lock_of(self.jobs, {"_id": key}, sleep=LOOK_AGAIN)
        self.lock.acquire()
        assert self.lock.locked_document

    def release(self, key):
        self.lock.release(None, None, None)


class Redis:
    """Prefect's lock manager on Redis."""

    def __init__(self, port):
        from prefect_redis import RedisLockManager

        self.manager, self.holder = RedisLockManager(port=port), uuid.uuid4().hex

    def prepare(self, key):
        """A key is there when it is locked."""

    def acquire(self, key):
        assert self.manager.acquire_lock(key, self.holder)

    def release(self, key):
        self.manager.release_lock(key, self.holder)


def pairs(client, ms):
    key = uuid.uuid4().hex
    client.prepare(key)
    took, end = [], time.perf_counter_ns() + ms * 1_000_000
    while (began := time.perf_counter_ns()) < end:
        client.acquire(key)
        client.release(key)
        took.append(time.perf_counter_ns() - began)
    return took


def handoffs(clients, times):
    return [handoff(*clients) for _ in range(times)]


def handoff(first, second):
    """How long it takes from before the first one's release until the second one, which waits, has the lock."""
    key, had = uuid.uuid4().hex, []
    first.prepare(key)
    first.acquire(key)

    def wait():
        second.acquire(key)
        had.append(time.perf_counter_ns())

    waiter = threading.Thread(target=wait)
    waiter.start()
    # It waits by then, and who polls is met at any moment.
    time.sleep(0.05 + random.random() * LOOK_AGAIN)
    began = time.perf_counter_ns()
    first.release(key)
    waiter.join()
    second.release(key)
    return had[0] - began


@contextlib.contextmanager
def redis():
    """The port of a redis-server, or None."""
    program = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if not program:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert server.poll() is None, "redis-server has ended"
                time.sleep(0.05)
            yield port
        finally:
            server.kill()
            server.wait()


def main(peer, uri, database):
    with redis() if peer == "redis" else contextlib.nullcontext(0) as port:
        if port is None:
            print("absent", flush=True)
            return
        clients = [Jobflow(uri, database) if peer == "jobflow" else Redis(port) for _ in range(2)]
        # Connections are made with the first calls.
        for client in clients:
            pairs(client, 1)
        print("ready", flush=True)
        for line in sys.stdin:
            order, number = line.split()
            took = pairs(clients[0], int(number)) if order == "pairs" else handoffs(clients, int(number))
            print(json.dumps({"took": took}), flush=True)


main(*sys.argv[1:])
