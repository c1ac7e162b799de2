"""What tests of several processes need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time


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


def wait_until(holds, seconds=60):
    """Waits until something holds; fails when that takes too long."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


class Script:
    """A Python program in a process of its own, which has the store's path as `path`. Its lines are read one by one."""

    def __init__(self, path, code):
        prelude = "import lockstore, os, signal, sys, time\npath = sys.argv[1]\n"
        command = [sys.executable, "-u", "-c", prelude + code, str(path)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def line(self):
        line = self.process.stdout.readline().strip()
        assert line, self.process.stderr.read()
        return line

    def tell(self, line=""):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self, timeout=60):
        """What it has printed, once it has ended well."""
        out, err = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0, err
        return out.splitlines()

    def kill(self):
        self.process.kill()
        self.process.communicate()
