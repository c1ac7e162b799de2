"""jobflow-remote as its users use it: `jf` and its runner, and a file instead of a MongoDB server."""

import os
import signal
import time

import psutil

import lockstore


def test_a_diamond_of_twenty_jobs_is_run_by_separate_processes(project):
    jobs = project.submit("diamond()")
    assert len(jobs) == 20
    assert project.states() == {job: "WAITING" for job in jobs} | {"1": "READY"}

    assert "1 jobs modified" in project.jf("job", "pause", "1")
    assert project.states()["1"] == "PAUSED"
    assert "1 jobs modified" in project.jf("job", "resume", "1")

    project.jf("runner", "start")
    project.wait_for({job: "COMPLETED" for job in jobs})
    assert project.states() == {job: "COMPLETED" for job in jobs}
    assert len(project.runners()) == 4
    assert project.output("20") == sum(2 + number for number in range(18))
    assert [project.output(job) for job in jobs[:3]] == [2, 2, 3]
    flows = project.jf("flow", "list")
    assert "diamond" in flows and "COMPLETED" in flows

    project.jf("runner", "stop", "--wait")
    assert not project.runners()


def test_a_job_that_failed_is_run_again(project):
    project.submit(f"failing('{project.home}/mark')")
    project.jf("runner", "start")
    project.wait_for({"1": "FAILED", "2": "WAITING"})
    assert "1 jobs modified" in project.jf("job", "rerun", "1")
    project.wait_for({"1": "COMPLETED", "2": "COMPLETED"})
    assert project.output("2") == "the second time!"


def test_a_runner_that_is_killed_while_it_holds_locks_is_followed_by_another(project):
    jobs = project.submit("diamond(4)")
    project.jf("runner", "start")
    locked = kill_while_it_holds_a_lock(project)
    assert not project.runners()

    assert locked in project.jf("job", "list", "--locked")
    assert "1 jobs were unlocked" in project.jf("admin", "unlock", "-y")
    # It may have had the flow of the job too.
    project.jf("admin", "unlock-flow", "-y")
    project.jf("runner", "reset", "-y")
    project.jf("runner", "start")
    project.wait_for({job: "COMPLETED" for job in jobs})
    assert project.output(jobs[-1]) == sum(2 + number for number in range(4))


def kill_while_it_holds_a_lock(project):
    """Kills all processes of the runner while they hold the lock of a job, and gives the job's id.

    They are stopped to look, since a lock is held for a moment only.
    """
    deadline = time.monotonic() + 120
    locked = {"lock_id": {"$ne": None}}
    with lockstore.Store(project.file) as store:
        jobs = store.collection("jobs", database="jobflow")
        while not jobs.find_one(locked):
            assert time.monotonic() < deadline, "no job was ever locked"
        runners = project.runners()
        for runner in runners:
            runner.send_signal(signal.SIGSTOP)
        job = jobs.find_one(locked)
        for runner in runners:
            runner.send_signal(signal.SIGKILL if job else signal.SIGCONT)
    if not job:
        return kill_while_it_holds_a_lock(project)
    os.kill(int((project.home / "projects/std/daemon/supervisord.pid").read_text()), signal.SIGKILL)
    psutil.wait_procs(runners)
    return job["db_id"]
