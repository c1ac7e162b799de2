"""The `lockstore` program that the wheel brings along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

from support import PATIENCE, start, wait_until

import lockstore


def run(*arguments, program=(sys.executable, "-m", "lockstore")):
    done = subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout, done.stderr


def test_python_m_lockstore_is_the_program(store):
    with store.lock("k"):
        code, out, _ = run("ls", "--store", str(store.path))
        assert code == 0 and "k" in out
        code, _, err = run("acquire", "k", "--store", str(store.path), "--wait", "0s", "--ttl", "10s")
        assert code == 1 and err
    assert run("--version")[1].startswith("lockstore ")
    assert run("no-such-command")[0] == 2


def test_the_wheel_installs_it_too():
    program = Path(sysconfig.get_path("scripts")) / "lockstore"
    assert run("--version", program=[program]) == run("--version")


def test_a_command_runs_while_the_lock_is_held(store, path):
    code = f"import lockstore; assert lockstore.Store({str(path)!r}).is_locked('k')"
    assert run("run", "k", "--store", str(path), "--", sys.executable, "-c", code)[0] == 0
    assert not store.is_locked("k")


def test_ctrl_c_ends_the_program(store, path):
    with store.lock("k"):
        command = [sys.executable, "-m", "lockstore", "wait", "k", "--store", str(path)]
        waiting = start(command)
        wait_until(lambda: Path(f"/proc/{waiting.pid}/comm").read_text().strip() == "lockstore")
        os.kill(waiting.pid, signal.SIGINT)
        assert waiting.wait(PATIENCE) == -signal.SIGINT


def test_a_program_that_is_to_ignore_ctrl_c_ignores_it(store, path):
    """As one in the background of a script."""
    with store.lock("k"):
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "lockstore", "wait", "k"]
        waiting = subprocess.Popen([*command, "--store", str(path)])
        wait_until(lambda: Path(f"/proc/{waiting.pid}/comm").read_text().strip() == "lockstore")
        os.kill(waiting.pid, signal.SIGINT)
    assert waiting.wait(PATIENCE) == 0


def test_its_errors_are_those_of_the_package():
    tree = [error for error in vars(lockstore).values() if isinstance(error, type) and issubclass(error, Exception)]
    assert all(issubclass(error, lockstore.LockStoreError) for error in tree)
    builtin = {error: error.__mro__ for error in tree}
    assert ValueError in builtin[lockstore.InvalidArgument]
    assert TimeoutError in builtin[lockstore.AcquireTimeout]
    assert KeyError in builtin[lockstore.NotHeld]
    assert ConnectionError in builtin[lockstore.ServerUnavailable]
