"""The README's story of many machines runs as it stands there, with only its address changed."""

import re
import subprocess
import sys
from pathlib import Path

from support import PATIENCE

README = Path(__file__).parents[2] / "README.md"
(STORY,) = re.findall(r"^## Many machines\n(?:(?!^## ).)*?^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
ADDRESS = "mongodb://a,b,c/?replicaSet=rs0"


def test_the_story_of_many_machines(members):
    assert ADDRESS in STORY
    program = [sys.executable, "-c", STORY.replace(ADDRESS, members)]
    told = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE)
    assert told.returncode == 0, told.stderr
    assert re.fullmatch("token [0-9]+ is higher than every earlier one, on whatever machine\n", told.stdout)
