"""A MongoDB replica set on this machine, with the mongod that the environment variable MONGOD names."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile

import pymongo
from support import wait_until


@contextlib.contextmanager
def replica_set():
    """The address of three members on the loopback interface, which have a primary. They end with this, and with this process."""
    program = os.environ.get("MONGOD")
    assert program, "MONGOD names no mongod, which these tests need; `export MONGOD=$(cargo xtask mongod)` fetches one"
    with contextlib.ExitStack() as ends:
        folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="lockstore-members-", ignore_cleanup_errors=True))
        ports = free_ports(3)
        for port in ports:
            ends.callback(end, start(program, port, folder))
        hosts = [f"127.0.0.1:{port}" for port in ports]
        with pymongo.MongoClient(hosts[0], directConnection=True) as first:
            members = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
            settings = {"electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 200}
            first.admin.command("replSetInitiate", {"_id": "rs0", "members": members, "settings": settings})
        address = f"mongodb://{','.join(hosts)}/?replicaSet=rs0"
        with pymongo.MongoClient(address) as client:
            wait_until(lambda: len(client.nodes) == 3 and client.primary)
        yield address


def start(program, port, folder):
    """Starts a member below a shell, which ends it, and removes its files, when nobody has the other end of its input any more."""
    data = os.path.join(folder, str(port))
    os.mkdir(data)
    where = ["--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", data, "--nounixsocket", "--replSet", "rs0"]
    small = ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64", "--wiredTigerEngineConfigString", SMALL_JOURNAL]
    member = subprocess.Popen(
        ["sh", "-c", KEEP, data, program, *where, *small],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def listens():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True

    wait_until(listens, lambda: f"{program} does not listen")
    return member


def end(member):
    member.stdin.close()
    member.wait()


def free_ports(count):
    """Ports that nobody has. They are found together, so that none is found twice."""
    with contextlib.ExitStack() as open_yet:
        found = [open_yet.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


#: Runs a program until the end of the input, and removes the folder that it is called after.
KEEP = '"$@" <&- & read _; kill -9 $!; wait $!; rm -rf "$0"'

#: 300 MB of files for each member otherwise.
SMALL_JOURNAL = "log=(prealloc=false,file_max=8MB)"
