"""Runs the command line. An interruption at any moment, while libraries are imported too, ends it in a sentence."""

import signal
import sys

from kdbench.interruptions import INTERRUPTED, INTERRUPTED_EXIT_CODE


def main() -> None:
    """Run the command line, and let nothing interrupt the end of the process."""
    try:
        from kdbench.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT_CODE)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
