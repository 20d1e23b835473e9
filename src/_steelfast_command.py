"""The command ``steelfast`` as it is installed.

It stands outside the package: where STEELFAST_ISA names no build, the package cannot be imported, and that is to cost
one line, not a traceback.
"""

import sys


def main() -> int:
    """Run the command line of this process and return its exit code; see `steelfast.cli`."""
    try:
        from steelfast.cli import main as run
    except ImportError as error:
        print(f"steelfast: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return run()
