"""Make `data/reference_tables.csv`: hard inputs and the correctly rounded results of the kernels.

    python tools/reference_tables.py [--check]

Every function is written down as it is defined and computed with so many digits that nothing which cancels matters:
no formula is shared with the kernels or with their other tests. The inputs are the same on every machine.
`data/README.md` describes the table. With --check nothing is written; it fails where the file is not what is made.
"""

import argparse
import csv
import io
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import mpmath

FILE = Path(__file__).parents[1] / "data" / "reference_tables.csv"
COLUMNS = ("function", "dtype", "kind", "limit", "target", "input", "output")
LIMIT = 2

mp = mpmath.MPContext()
mp.dps = 420  # 1 + the smallest subnormal double has 324 digits
Numbers = list[mpmath.mpf]


class Format(NamedTuple):
    """A binary floating-point format, and the exponentials that are hard in it."""

    name: str
    digits: int
    smallest_exponent: int  # of a subnormal number
    largest_exponent: int  # of the power of two that is too large
    leads: tuple[float, ...]  # of one logit over the others: from half of the probability to all of it
    underflow: float  # where exp(-x) becomes subnormal
    vanishing: float  # where it becomes 0
    largest: float


FORMATS = [
    Format("float32", 24, -149, 128, (0.5, 5, 17, 40, 80), 87.4, 103.9, 3e38),
    Format("float64", 53, -1074, 1024, (0.5, 5, 37, 80, 700), 708.4, 745.1, 1.5e308),
]


def rounded(x: mpmath.mpf, to: Format) -> float:
    """The nearest number of the format, of two the one with an even last digit."""
    if not mp.isfinite(x) or x == 0:
        return float(x)
    exponent = max(mp.mag(x) - to.digits, to.smallest_exponent)
    digits = int(mp.nint(mp.ldexp(x, -exponent)))
    if digits.bit_length() + exponent > to.largest_exponent:
        return math.copysign(math.inf, digits)
    return math.ldexp(digits, exponent)


def written(x: float) -> str:
    """In hexadecimal, as C and `float.fromhex` read it, without the zeros at the end."""
    digits, p, exponent = x.hex().partition("p")
    return (digits.rstrip("0").rstrip(".") if p else digits) + p + exponent


# ---- the functions


def softmax(row: Numbers) -> Numbers:
    exps = [mp.exp(x) for x in finite(row)]
    return [e / sum(exps) for e in exps]


def finite(row: Numbers) -> Numbers:
    """The row with the same softmax: one +inf is the limit; of two, or of nothing but -inf, there is none."""
    if row.count(mp.inf) > 1 or all(x == -mp.inf for x in row):
        return [mp.nan] * len(row)
    if mp.inf in row:
        return [mp.zero if x == mp.inf else -mp.inf for x in row]
    return row


def log_softmax(row: Numbers) -> Numbers:
    return [mp.log(p) for p in softmax(row)]


def logsumexp(row: Numbers) -> Numbers:
    return [mp.inf if mp.inf in row else mp.log(sum(mp.exp(x) for x in row))]


def softmax_cross_entropy(row: Numbers, label: int) -> Numbers:
    return [-log_softmax(row)[label]]


def softmax_cross_entropy_grad(row: Numbers, label: int) -> Numbers:
    return [p - (j == label) for j, p in enumerate(softmax(row))]


def softmax_jacobian(probs: Numbers) -> Numbers:
    return [p * ((i == j) - q) for i, p in enumerate(probs) for j, q in enumerate(probs)]


def sigmoid(x: Numbers) -> Numbers:
    return [1 / (1 + mp.exp(-x[0]))]


def log_sigmoid(x: Numbers) -> Numbers:
    return [mp.log(sigmoid(x)[0]) if mp.isfinite(x[0]) else min(x[0], mp.zero)]


def sigmoid_mse(x: Numbers, target: int) -> Numbers:
    return [(sigmoid(x)[0] - target) ** 2]


def sigmoid_mse_grad(x: Numbers, target: int) -> Numbers:
    p = sigmoid(x)[0]
    return [2 * (p - target) * p * (1 - p)]


# ---- the inputs


class Inputs:
    """Rows of logits, each with the kind of difficulty it has, and numbers for what works on one."""

    def __init__(self, to: Format) -> None:
        self.format = to
        # of the generator's methods only this one promises the same numbers in every version of Python
        self.uniform = random.Random(3).random

    def between(self, low: float, high: float, n: int) -> list[float]:
        return [low + (high - low) * self.uniform() for _ in range(n)]

    def rows(self) -> Iterator[tuple[str, Sequence[float]]]:
        for scale in (1e-3, 1.0, 30.0, 1e4):
            for n in (2, 3, 7):
                yield "scale", self.between(-scale, scale, n)
        for n in (26, 129):
            yield "scale", self.between(-10, 10, n)
        for n in (2, 7):
            yield "ties", [self.uniform()] * n
            yield "ties", [-20.25, *self.between(-25, -21, n - 2), -20.25]
        for n, base in ((2, 0), (7, -50)):
            yield from (("saturated", self.leading(base, lead, n)) for lead in self.format.leads)
        underflow, vanishing = self.format.underflow, self.format.vanishing
        for n in (2, 7):
            for lead in (underflow - 1, underflow + 1, vanishing - 1, vanishing, vanishing + 1):
                yield "subnormal", self.leading(0, lead, n)
        yield "subnormal", [1.5, *(1.5 - x for x in self.between(underflow, vanishing, 25))]
        for offset in (-1e6, -300.0, 131.0, 2250.0):
            yield "offset", [offset + x for x in self.between(-3, 3, 3)]
        largest = self.format.largest
        yield "spread", [largest, -largest]
        yield "spread", [-largest, -largest, -largest / 2]
        yield "spread", [1e-30, 0.0, -1e30, 1e4, 1e-4, 9999.0, 1e4]
        for n in (2, 3, 7):
            for remainder in (1e-6, 1e-3, -0.1):
                yield "cancelling", self.cancelling(n, remainder)
        inf = math.inf
        for infinite in ([0, -inf], [-inf, 2, 1], [inf, 0, 5], [inf, -inf, 1], [inf, inf, 0], [-inf, -inf], [inf]):
            yield "infinite", infinite

    def leading(self, base: float, lead: float, n: int) -> list[float]:
        """One logit ahead of all others by the lead at least."""
        return [*(base - lead - x for x in self.between(0, 3, n - 1)), base]

    def cancelling(self, n: int, remainder: float) -> list[float]:
        """Negative logits whose log-sum-exp is the remainder, or what rounding leaves of it."""
        row = [mp.mpf(x) for x in self.between(-1, 1, n)]
        total = logsumexp(row)[0] - remainder
        return [float(x - total) for x in row]

    def numbers(self) -> Iterator[tuple[str, Sequence[float]]]:
        underflow, vanishing = self.format.underflow, self.format.vanishing
        for scale in (1e-3, 1.0, 30.0, 1e4):
            yield from (("scale", [x]) for x in self.between(-scale, scale, 5))
        for lead in (*self.format.leads, underflow - 1, underflow + 1):
            yield from (("saturated", [x]) for x in (lead, -lead))
        for x in [*self.between(underflow, vanishing, 3), vanishing, vanishing + 1]:
            yield from (("subnormal", [x]), ("subnormal", [-x]))
        yield from (("infinite", [x]) for x in (0.0, math.inf, -math.inf))


def lines_of(to: Format) -> Iterator[list[str | int]]:
    def line(function: Callable[..., Numbers], kind: str, numbers: Sequence[float], *target: int) -> list[str | int]:
        given = [rounded(mp.mpf(x), to) for x in numbers]
        result = function([mp.mpf(x) for x in given], *target)
        hexadecimal = [" ".join(map(written, each)) for each in (given, [rounded(x, to) for x in result])]
        return [function.__name__, to.name, kind, LIMIT, *(target or ("",)), *hexadecimal]

    inputs = Inputs(to)
    for kind, row in inputs.rows():
        for function in (softmax, log_softmax, logsumexp):
            yield line(function, kind, row)
        first = max(range(len(row)), key=row.__getitem__)
        labels = {first} if len(row) > 3 else {first, len(row) // 2}
        for label in sorted(labels):
            yield line(softmax_cross_entropy, kind, row, label)
            yield line(softmax_cross_entropy_grad, kind, row, label)
        if len(row) <= 3:
            probs = [rounded(p, to) for p in softmax([mp.mpf(x) for x in row])]
            yield line(softmax_jacobian, kind, probs)
    for kind, x in inputs.numbers():
        yield line(sigmoid, kind, x)
        yield line(log_sigmoid, kind, x)
        for target in (0, 1):
            yield line(sigmoid_mse, kind, x, target)
            yield line(sigmoid_mse_grad, kind, x, target)


def table() -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for to in FORMATS:
        writer.writerows(lines_of(to))
    return text.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the reference tables of the kernels.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is another")
    if parser.parse_args().check:
        same = FILE.is_file() and FILE.read_text(encoding="utf-8") == table()
        print(f"{FILE.name} is {'' if same else 'not '}what this script makes")
        return 0 if same else 1
    FILE.write_text(table(), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
