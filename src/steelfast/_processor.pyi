"""Types of the small module that knows the processor."""

from typing import final

compiler: str

def x86_64_level() -> int: ...

@final
class FloatingPointState:
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...
