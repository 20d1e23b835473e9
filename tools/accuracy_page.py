"""Write the tables of docs/accuracy.md from the file of measured errors; no figure is typed by hand.

    python tools/exhaustive_float32.py --json docs/accuracy.json
    python tools/search_errors.py --json docs/accuracy.json
    python tools/accuracy_page.py

The first two enter what they found on their instruction set.
"""

import json
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
FIGURES, PAGE = DOCS / "accuracy.json", DOCS / "accuracy.md"


def elementary(report):
    """A row for each function, a column for each run; errors of subnormal results in parentheses."""
    runs = report["elementary"]
    names = list(dict.fromkeys(name for run in runs for name in run["functions"]))
    yield ["", *(_inputs(run) for run in runs)]
    for name in names:
        yield [f"`{name}`", *(_largest(run["functions"].get(name), run["every"]) for run in runs)]


def _inputs(run):
    return f"{run['instruction_set']}, " + ("all 2³² inputs" if run["every"] == 1 else f"every {run['every']}th")


def _largest(found, every):
    if found is None:
        return "–"
    place = f" at {found['normal']['x']:.9g}".replace("-", "−") if every == 1 else ""
    subnormal = f" ({found['subnormal']['error']:.4f})" if "subnormal" in found else ""
    return f"{found['normal']['error']:.4f}{place}{subnormal}"


def kernels(report):
    """A row for each kernel: errors in float32 and float64, of normal results and of those that are nearly not."""
    yield ["", "float32", "near", "float64", "near"]
    for each in report["kernels"]:
        yield [each["kernel"], *(cell for dtype in ("float32", "float64") for cell in _searched(each[dtype]))]


def _searched(found):
    return tuple(f"{found[place]:.2f}" if found[place] else "–" for place in ("normal", "near"))


def about(report):
    return (
        "Measured on {date} on an {processor}, {compiler}, Python {python}, NumPy {numpy}, SciPy {scipy}, "
        "Cython {cython}."
    ).format(**report["about"])


def page(report, text):
    """The page with what was measured in its places."""
    for place, content in {
        "about": about(report),
        "elementary": _table(elementary(report)),
        "kernels": _table(kernels(report)),
    }.items():
        pattern = rf"(?<=<!-- {place} -->\n).*(?=\n<!-- /{place} -->)"
        text, n_places = re.subn(pattern, lambda _, content=content: content, text, flags=re.DOTALL)
        if n_places != 1:
            raise ValueError(f"{PAGE.name} must have one place for {place}, has {n_places}")
    return text


def _table(rows):
    header, *rows = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


def main():
    report = json.loads(FIGURES.read_text(encoding="utf-8"))
    PAGE.write_text(page(report, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
