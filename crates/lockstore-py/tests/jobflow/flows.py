"""Flows for the tests, and jobs that the workers import."""

from pathlib import Path

from jobflow import Flow, job
from jobflow_remote import submit_flow
from jobflow_remote.utils.examples import add, add_many


@job
def fail_once(mark):
    """Fails when it runs for the first time."""
    if not Path(mark).exists():
        Path(mark).touch()
        raise RuntimeError("the first time")
    return "the second time"


def diamond(width=18):
    """One job, then `width` that need its output, then one that needs all of theirs."""
    first = add(1, 1)
    middle = [add(first.output, number) for number in range(width)]
    last = add_many(*[job.output for job in middle])
    return Flow([first, *middle, last], output=last.output, name="diamond")


def failing(mark):
    """A job that fails once, and one that needs its output."""
    first = fail_once(mark)
    return Flow([first, add(first.output, "!")], name="failing")


def submit(flow):
    print(*submit_flow(flow, worker="local"))
