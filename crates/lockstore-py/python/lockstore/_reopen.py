"""How a pickled store becomes one again."""

from __future__ import annotations

import os

from lockstore._native import Store


def reopen(path: str | os.PathLike[str], idle_exit: float, start_timeout: float) -> Store:
    """The store at ``path``, with the options that it had."""
    return Store(path, idle_exit=idle_exit, start_timeout=start_timeout)
