"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def written_whole(directory: Path) -> Iterator[Path]:
    """A folder inside the directory; what was written there moves to the directory at the end.

    When the block is left by an exception, Ctrl-C included, nothing has changed in the directory.
    """
    with TemporaryDirectory(prefix=".steelfast-", dir=directory) as beside:
        yield Path(beside)
        for part in sorted(Path(beside).iterdir()):
            part.replace(directory / part.name)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write the file whole or not at all; what is no regular file, a pipe say, is written to."""
    target = Path(os.path.realpath(path))  # a link stays a link
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8", newline="")
        return
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: {target.parent} is not a directory")
    with written_whole(target.parent) as folder:
        (folder / target.name).write_text(text, encoding="utf-8", newline="")
