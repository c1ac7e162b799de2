"""What tests of several processes need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress


def end_server(path):
    """Ends the server of this store, if there is one, and waits for it."""
    pid = server_pid(path)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: server_pid(path) is None)


def server_pid(path):
    """Who serves this store."""
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if b"--in-background" in words and os.fsencode(os.path.realpath(path)) in words:
            return int(pid)
    return None


#: How long a lease is that is renewed in a test, in seconds. Renewals come every third of it: they are in time on a very slow machine too.
LEASE = 9

#: For how many seconds anything is waited for that is to come: long enough for a machine that is very slow.
PATIENCE = 300


def wait_until(holds, found=lambda: "it did not come about", pause=0.005):
    """Waits until something holds; fails with what was `found` when that takes too long."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, found()
        time.sleep(pause)


def let_go():
    """Waits until everything has been let go of that this process lets go of in the background."""
    wait_until(lambda: "lockstore-drop" not in thread_names())


def thread_names():
    """The names of this process's threads, Python's and others."""
    names = []
    for thread in os.listdir("/proc/self/task"):
        with suppress(OSError), open(f"/proc/self/task/{thread}/comm") as file:
            names.append(file.read().strip())
    return names


def renewed(events):
    """Waits for the next renewal that is told of."""
    assert "renewed" in (event.kind for event in events if event.kind != "gap")


def start(command, **options):
    """Starts a program that is interrupted by SIGINT, as one that a terminal starts, even if these tests are not."""
    return subprocess.Popen(
        command, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options
    )


class Script:
    """A Python program in a process of its own, which has the store's path as `path`. Its lines are read one by one."""

    def __init__(self, path, code):
        prelude = "import lockstore, os, signal, sys, time\npath = sys.argv[1]\n"
        command = [sys.executable, "-u", "-c", prelude + code, str(path)]
        self.process = start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def line(self):
        line = self.process.stdout.readline().strip()
        assert line, self.process.stderr.read()
        return line

    def tell(self, line=""):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self):
        """What it has printed, once it has ended well."""
        out, err = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, err
        return out.splitlines()

    def kill(self):
        self.process.kill()
        self.process.communicate()
