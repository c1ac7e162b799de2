"""Projects of jobflow-remote on a file, driven by its own `jf` program. Nothing is mocked, and no MongoDB runs."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from support import PATIENCE, wait_until

import lockstore

PROJECT = """\
name: std
workers:
  local: {{type: local, scheduler_type: shell, work_dir: {home}/jobs, max_jobs: 8}}
runner: {{delay_checkout: 1, delay_check_run_status: 1, delay_advance_status: 1, delay_refresh_limited: 1, delta_retry: [1]}}
queue:
  store: {{"@module": lockstore.jobflow, "@class": LockStore, path: {home}/jobs.redb, collection_name: jobs}}
jobstore:
  "@module": jobflow.core.store
  "@class": JobStore
  docs_store: {{"@module": lockstore.jobflow, "@class": LockStore, path: {home}/jobs.redb, collection_name: outputs}}
"""


class Project:
    """A project in a folder of its own, with one worker on this machine."""

    def __init__(self, home: Path, yaml: str) -> None:
        self.home = home
        self.file = home / "jobs.redb"
        (home / "projects").mkdir()
        (home / "jobs").mkdir()
        self.configure(yaml)
        self.environment = {
            **os.environ,
            "JFREMOTE_PROJECTS_FOLDER": str(home / "projects"),
            "PATH": f"{home}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}",
            "PYTHONWARNINGS": "ignore",
            "COLUMNS": "150",
        }

    def configure(self, yaml: str) -> None:
        (self.home / "projects" / "std.yaml").write_text(yaml)

    def submits_for_ever(self) -> str:
        """Has the worker hand its jobs to a Slurm that does not answer, while the runner holds the lock of the job. Gives the
        configuration as it was."""
        (self.home / "bin").mkdir()
        sbatch = self.home / "bin" / "sbatch"
        sbatch.write_text(f"#!/bin/sh\ntouch {self.home}/submitting\nexec sleep 100000\n")
        sbatch.chmod(0o700)
        before = (self.home / "projects" / "std.yaml").read_text()
        self.configure(before.replace("scheduler_type: shell", "scheduler_type: slurm, timeout_execute: 100000"))
        return before

    def kill_runners(self) -> None:
        """Kills the runner, all of its processes and what they have started."""
        supervisor = psutil.Process(int((self.home / "projects/std/daemon/supervisord.pid").read_text()))
        # None of them can start another meanwhile.
        supervisor.suspend()
        processes = [supervisor, *supervisor.children(recursive=True)]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes)
        assert not self.runners()

    def python(self, *arguments: str) -> str:
        return self._run(sys.executable, *arguments)

    def jf(self, *arguments: str) -> str:
        """What `jf` says. It is an error when it says that there was one, for then too it exits with 0 sometimes."""
        said = self._run(str(Path(sys.executable).parent / "jf"), *arguments)
        assert "ERROR" not in said and "Traceback" not in said, said
        return said

    def submit(self, flow: str) -> list[str]:
        """Submits a flow of `flows.py` from a process of its own, and gives the ids of its jobs."""
        return self.python("-c", f"import flows; flows.submit(flows.{flow})").split()

    def states(self) -> dict[str, str]:
        """The states of all jobs, as `jf job list` shows them."""
        return dict(re.findall(r"│ (\d+) +│ \w+ +│ ([A-Z_]+) +│", self.jf("job", "list", "-m", "100")))

    def wait_for(self, states: dict[str, str]) -> None:
        """Waits until jobs have these states, for as long as something goes on."""
        with lockstore.Store(self.file) as store:
            jobs = store.collection("jobs", database="jobflow")
            now = None
            while now != states:
                before = now
                wait_until(lambda: self._states(jobs) != before, lambda: f"{before}\n{self.logs()}", pause=0.2)
                now = self._states(jobs)

    @staticmethod
    def _states(jobs: lockstore.Collection) -> dict[str, str]:
        return {job["db_id"]: job["state"] for job in jobs.find()}

    def output(self, job: str) -> object:
        return eval(self.jf("job", "output", job).split("\n\n", 1)[1])

    def runners(self) -> list[psutil.Process]:
        """The processes of the runner."""
        return [process for process in psutil.process_iter() if self._is_runner(process)]

    def logs(self) -> str:
        return "\n".join(log.read_text() for log in (self.home / "projects/std/log").glob("*.log"))

    def close(self) -> None:
        for process in psutil.process_iter():
            if str(self.home) in " ".join(self._command_line(process)) or self._is_runner(process):
                process.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, *command: str) -> str:
        ran = subprocess.run(
            command,
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert ran.returncode == 0, f"{command} has ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def _is_runner(self, process: psutil.Process) -> bool:
        try:
            return "runner" in self._command_line(process) and process.environ().get(
                "JFREMOTE_PROJECTS_FOLDER"
            ) == str(self.home / "projects")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    @staticmethod
    def _command_line(process: psutil.Process) -> list[str]:
        try:
            return process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return []


@pytest.fixture
def make_project():
    """Makes a project from YAML in which `{home}` is its folder. The folder's path is short, as sockets' must be."""
    made = []

    def make(yaml: str = PROJECT) -> Project:
        home = Path(tempfile.mkdtemp(prefix="jf-"))
        project = Project(home, yaml.format(home=home))
        made.append(project)
        project.jf("admin", "reset", "-y")
        return project

    yield make
    for project in made:
        project.close()


@pytest.fixture
def project(make_project):
    return make_project()
