"""jobflow-remote as its users use it: `jf` and its runner, and a file instead of a MongoDB server."""

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
    """Kills all processes of a runner while they hold the lock of a job, and gives the job's id. Where the lock's release was on its way
    already, the next runner has its turn."""
    deadline = time.monotonic() + 240
    locked = {"lock_id": {"$ne": None}}
    with lockstore.Store(project.file) as store:
        jobs = store.collection("jobs", database="jobflow")
        while True:
            project.jf("runner", "start")
            while not jobs.find_one(locked):
                assert time.monotonic() < deadline, "no job was ever locked"
            supervisor = int((project.home / "projects/std/daemon/supervisord.pid").read_text())
            runners = [psutil.Process(supervisor), *project.runners()]
            for runner in runners:
                runner.send_signal(signal.SIGKILL)
            psutil.wait_procs(runners)
            time.sleep(1)  # What they have sent is served by then.
            if job := jobs.find_one(locked):
                return job["db_id"]
            project.jf("runner", "reset", "-y")
