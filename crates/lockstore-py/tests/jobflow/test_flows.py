"""jobflow-remote as its users use it: `jf` and its runner, and a file instead of a MongoDB server."""

import pytest
from support import wait_until

import lockstore


# Each step of it may take as long as any, and there are many.
pytestmark = pytest.mark.timeout(3600)


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
    shell = project.submits_for_ever()
    project.jf("runner", "start")
    wait_until((project.home / "submitting").exists)
    project.kill_runners()
    with lockstore.Store(project.file) as store:
        assert store.collection("jobs", database="jobflow").find_one({"lock_id": {"$ne": None}})["db_id"] == jobs[0]

    project.configure(shell)
    assert jobs[0] in project.jf("job", "list", "--locked")
    assert "1 jobs were unlocked" in project.jf("admin", "unlock", "-y")
    project.jf("runner", "reset", "-y")
    project.jf("runner", "start")
    project.wait_for({job: "COMPLETED" for job in jobs})
    assert project.output(jobs[-1]) == sum(2 + number for number in range(4))
