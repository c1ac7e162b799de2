"""The ``lockstore`` program: ``python -m lockstore``, and what the wheel installs as ``lockstore``."""

from __future__ import annotations

import signal
import sys

from lockstore._native import main as _main


def main() -> None:
    """Runs the program with the arguments of this process, and exits with its code."""
    # Python notes signals for code of its own, of which there is none here; the program minds those that it needs.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What it runs inherits what is ignored, and Python ignores this one.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.exit(_main(["lockstore", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
