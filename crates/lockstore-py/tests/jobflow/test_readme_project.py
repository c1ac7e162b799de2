"""The README's project is one that runs, with only its folders changed."""

import re
from pathlib import Path

import pytest

# Each step of it may take as long as any, and there are many.
pytestmark = pytest.mark.timeout(3600)

README = Path(__file__).parents[2] / "README.md"
(YAML,) = re.findall(r"^```yaml\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def test_the_project_of_the_readme_runs(make_project):
    assert len(YAML.splitlines()) <= 10
    quick = "runner: {delay_checkout: 1, delay_check_run_status: 1, delay_advance_status: 1}\n"
    project = make_project((YAML + quick).replace("{", "{{").replace("}", "}}").replace("/home/me", "{home}"))
    jobs = project.submit("diamond(1)")
    project.jf("runner", "start")
    project.wait_for({job: "COMPLETED" for job in jobs})
    assert project.output(jobs[-1]) == 2
