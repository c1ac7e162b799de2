"""Prefect as its users run it, in a home of its own, and without a word to its makers."""

from __future__ import annotations

import os
import tempfile

import pytest
from support import PATIENCE

# Prefect looks at these when it is imported.
_home = tempfile.TemporaryDirectory(prefix="prefect-home-")
os.environ |= {"PREFECT_HOME": _home.name, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}

from prefect.settings import get_current_settings  # noqa: E402
from prefect.testing.utilities import prefect_test_harness  # noqa: E402


@pytest.fixture(scope="session")
def prefect():
    """A server of Prefect's for all tests, and the environment of programs that use it."""
    with prefect_test_harness(server_startup_timeout=PATIENCE):
        yield {**os.environ, **get_current_settings().to_environment_variables(exclude_unset=True)}
