"""The minimax polynomials of `_elementary.pxd` and `_exp.h`, and the table of the latter: run it to print coefficients,
entries and errors.

Remez' exchange algorithm in 60 digits. For exp the polynomial is q in exp(r) = 1 + r + r² q(r) on
-log(2) / 2 <= r <= log(3 / 2), its first coefficient fixed at 1/2 for float; for log it is R in
log(1 + f) = 2 s + s z R(z), s = f / (2 + f), z = s², on 2/3 <= 1 + f <= 3/2. Errors are relative to the whole result.

Beside a table of 2**(j / steps) exp need only cover log(2) / steps. The factor c of the table is the best that a search
found: all c with 28 bits for float, 6 · 10⁸ random ones for double.
"""

from collections.abc import Callable, Sequence

import mpmath as mp

mp.mp.dps = 60
Function = Callable[[mp.mpf], mp.mpf]


def remez(
    function: Function,
    weight: Function,
    low: mp.mpf,
    high: mp.mpf,
    n: int,
    fixed: Sequence[mp.mpf] = (),
) -> tuple[list[mp.mpf], mp.mpf]:
    """n coefficients after the fixed ones that minimise the largest weighted error, and that error."""
    tiny = mp.mpf("1e-12")
    middle, half = (low + high) / 2, (high - low) / 2
    points = [middle + half * mp.cos(mp.pi * (n - i) / n) for i in range(n + 1)]
    # where the weight has a zero
    points = [x if abs(x) > tiny else mp.mpf("1e-6") for x in points]
    grid = [x for i in range(60 * (n + 1) + 1) if abs(x := low + 2 * half * i / (60 * (n + 1))) > tiny]
    for _ in range(60):
        system, right = mp.matrix(n + 1, n + 1), mp.matrix(n + 1, 1)
        for i, x in enumerate(points):
            for j in range(n):
                system[i, j] = x ** (j + len(fixed))
            system[i, n] = (-1) ** i / weight(x)
            right[i] = function(x) - mp.polyval(list(fixed)[::-1] or [mp.mpf(0)], x)
        solution = mp.lu_solve(system, right)
        coefficients = [*fixed, *(solution[j] for j in range(n))]
        errors = [weight(x) * (function(x) - mp.polyval(coefficients[::-1], x)) for x in grid]
        largest = max(abs(e) for e in errors)
        if largest - abs(solution[n]) < largest * mp.mpf("1e-4"):
            break
        extrema = extrema_of(grid, errors)
        while len(extrema) > n + 1:
            extrema.pop(0 if abs(extrema[0][1]) < abs(extrema[-1][1]) else -1)
        points = [x for x, _ in extrema]
    return coefficients, largest


def extrema_of(grid: list[mp.mpf], errors: list[mp.mpf]) -> list[tuple[mp.mpf, mp.mpf]]:
    """The largest error of each run of one sign."""
    runs: list[tuple[mp.mpf, mp.mpf]] = []
    for x, error in zip(grid, errors, strict=True):
        if runs and mp.sign(runs[-1][1]) == mp.sign(error):
            if abs(error) > abs(runs[-1][1]):
                runs[-1] = (x, error)
        else:
            runs.append((x, error))
    return runs


def exp_remainder(r: mp.mpf) -> mp.mpf:
    return (mp.exp(r) - 1 - r) / r**2


def log_remainder(z: mp.mpf) -> mp.mpf:
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) - 2 * s) / s / z


def main() -> None:
    low, high = -mp.log(2) / 2 * mp.mpf("1.0005"), mp.log(mp.mpf(3) / 2) * mp.mpf("1.0005")
    square = mp.mpf(1) / 25 * mp.mpf("1.001")
    for name, n, fixed in (("float", 4, [mp.mpf(1) / 2]), ("double", 10, [])):
        found = remez(exp_remainder, lambda r: r**2 / mp.exp(r), low, high, n, fixed)
        show(f"exp, {name}", *found)
    for name, n, fixed, steps, n_bits, c in (
        ("float", 2, [mp.mpf(1) / 2], 8, 23, 1.0877149067819118),
        ("double", 7, [], 4, 52, 1.0044327133859108),
    ):
        half = mp.log(2) / steps / 2 * mp.mpf("1.0005")
        found = remez(exp_remainder, lambda r: r**2 / mp.exp(r), -half, half, n, fixed)
        show(f"exp beside a table, {name}", *found)
        show_table(steps, n_bits, c)
    for name, n in (("float", 3), ("double", 7)):
        found = remez(log_remainder, lambda z: z / 2, mp.mpf("1e-10"), square, n)
        show(f"log, {name}", *found)


def show(name: str, coefficients: list[mp.mpf], error: mp.mpf) -> None:
    print(f"{name}: relative error 2^{mp.nstr(mp.log(error, 2), 4)}")
    for coefficient in coefficients:
        print(f"    {mp.nstr(coefficient, 20)}")


def show_table(steps: int, n_bits: int, c: float) -> None:
    """The bits of c · 2**(j / steps), without those of 1 and of j beside the exponent; the parts of log(2) / steps."""
    entries, errors = [], []
    for j in range(steps):
        exact = mp.mpf(c) * mp.mpf(2) ** (mp.mpf(j) / steps) * 2**n_bits
        rounded = mp.nint(exact)
        entries.append(int(rounded) - 2**n_bits - j * 2**n_bits // steps)
        errors.append(abs(rounded / exact - 1) * 2**n_bits)
    print(f"    table: {entries}, off by {mp.nstr(max(errors), 3)} of 2^-{n_bits}")
    step = mp.log(2) / steps
    scale = mp.mpf(2) ** (n_bits - mp.floor(mp.log(step, 2)))
    upper = mp.nint(step * scale) / scale
    print(f"    log 2 / {steps} = {mp.nstr(upper, 20)} + {mp.nstr(step - upper, 20)}, inverse {mp.nstr(1 / step, 20)}")


if __name__ == "__main__":
    main()
