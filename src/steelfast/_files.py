"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

_PREFIX = ".steelfast-"  # of temporary folders


@contextmanager
def new_directory(directory: Path) -> Iterator[None]:
    """Make the directory if it is not there; when the block is left by an exception, what was made is gone again."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"{directory} cannot be made: {error.strerror}") from None
    try:
        yield
    except BaseException:
        if directory in missing:
            # a signal may come after a temporary folder is made and before anybody knows of it
            for folder in directory.glob(f"{_PREFIX}*"):
                rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # others may have put something there by now
            for each in missing:
                each.rmdir()
        raise


@contextmanager
def written_whole(directory: Path) -> Iterator[Path]:
    """A folder inside the directory; what was written there moves to the directory at the end.

    When the block is left by an exception, Ctrl-C included, nothing has changed in the directory.
    """
    try:
        folder = TemporaryDirectory(prefix=_PREFIX, dir=directory)
    except OSError as error:  # it names the folder, which nobody has heard of
        raise type(error)(f"{directory} cannot be written to: {error.strerror}") from None
    with folder as beside:
        yield Path(beside)
        for part in sorted(Path(beside).iterdir()):
            part.replace(directory / part.name)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise now what writing to the path would raise after long work; nothing is left behind."""
    with _naming(path):
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise IsADirectoryError("it is a directory")
        if target.exists() and not target.is_file():
            return  # to open a pipe may wait for its reader
        if not target.parent.is_dir():
            raise FileNotFoundError(f"{target.parent} is not a directory")
        with TemporaryDirectory(prefix=_PREFIX, dir=target.parent) as beside:
            (Path(beside) / target.name).touch()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write the file as `write_bytes` does, in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write the file whole or not at all; what is no regular file, a pipe say, is written to."""
    check_writable(path)
    target = Path(os.path.realpath(path))  # a link stays a link
    with _naming(path):
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        with written_whole(target.parent) as folder:
            (folder / target.name).write_bytes(data)


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """An error names the path, not the folder beside it."""
    try:
        yield
    except OSError as error:
        raise type(error)(f"{path} cannot be written: {error.strerror or error}") from None
