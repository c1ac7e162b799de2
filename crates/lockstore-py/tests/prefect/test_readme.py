"""The stories of the README run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import end_server

README = Path(__file__).parents[2] / "README.md"
STORIES = re.findall(r"^## (.+?)\n.*?^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("title", "code"), STORIES, ids=[title for title, _ in STORIES])
def test_a_story_of_the_readme(title, code, tmp_path, prefect):
    tmp_path.chmod(0o700)
    story = tmp_path / "story.py"
    story.write_text(code)
    done = subprocess.run([sys.executable, story], cwd=tmp_path, env=prefect, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    if "token" in code:
        assert re.search("token [0-9]+ is higher", done.stdout)
    else:
        assert (done.stdout + done.stderr).count("downloading a") == 1
    end_server(tmp_path / "locks.redb")


def test_the_readme_has_its_stories():
    assert [title for title, _ in STORIES][:2] == ["A lock around a script", "Prefect in five lines"]
