"""``python -m steelfast`` is the command ``steelfast``."""

import sys

from steelfast.cli import main

if __name__ == "__main__":
    sys.exit(main())
