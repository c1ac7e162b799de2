"""How a pickled store becomes one again."""

from __future__ import annotations

import os
from typing import Any

from lockstore._native import Store


def reopen(path: str | os.PathLike[str], options: dict[str, Any]) -> Store:
    """The store at ``path``, with the options that it had."""
    return Store(path, **options)
