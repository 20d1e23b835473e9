"""Draw the pictures of README.md and docs/start.md anew, by the commands that they show.

    python tools/pictures.py faults.csv

Nothing of the table goes into the repository but what is drawn.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from steelfast import cli

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def main():
    parser = argparse.ArgumentParser(description="Draw the pictures of README.md and docs/start.md anew.")
    parser.add_argument("table", help="the real table of plates, as CSV or as UCI hands it out")
    data = ["--quiet", "--data", parser.parse_args().table]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        commands = [
            ["train", *data, "--out", folder],
            ["explain", str(run / "model.npz"), *data, "--plot", str(run / "explain.png")],
            ["compare", *data, "--plot", str(run / "compare.png")],
        ]
        for command in commands:
            if exit_code := cli.main(command):
                sys.exit(exit_code)
        for name in ("confusion_matrix", "learning_curve", "reliability", "explain", "compare"):
            shutil.copy(run / f"{name}.png", IMAGES)


if __name__ == "__main__":
    main()
