"""The stories of the README run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE, end_server

README = Path(__file__).parents[2] / "README.md"
STORIES = re.findall(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL
)
#: The one that wants a replica set is told in `replica_set/test_readme_there.py`.
STORIES = [story for story in STORIES if story[0] != "Many machines"]

# What each says, once.
SAYS = {
    "A lock around a script": "token [0-9]+ is higher",
    "Prefect in five lines": "downloading a",
    "Documents": "working on 0",
}


@pytest.mark.parametrize(("title", "code"), STORIES, ids=[title for title, _ in STORIES])
def test_a_story_of_the_readme(title, code, tmp_path, prefect):
    tmp_path.chmod(0o700)
    story = tmp_path / "story.py"
    story.write_text(code)
    done = subprocess.run([sys.executable, story], cwd=tmp_path, env=prefect, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(SAYS[title], done.stdout + done.stderr)) == 1
    for file in ("locks.redb", "jobs.redb"):
        end_server(tmp_path / file)


def test_the_readme_has_its_stories():
    assert [title for title, _ in STORIES] == list(SAYS)
