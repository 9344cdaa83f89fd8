"""What a benchmark found: printed as Markdown tables, and written as JSON with the machine named.

Figures of one machine say little about another; ratios carry over. So a table names the column it
is about, and shows what each other column is to it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

RESULTS: Final = Path(__file__).parent / "results"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of figures, all of one unit.

    Args:
        rows: for each row its figures by column.
        subject: the column that is compared with the others; None to compare nothing.
        less_is_better: true for times and sizes: then ratios are the others over the subject.
        reach: for each row the ratios to the other columns that were set out to be reached.
    """

    title: str
    unit: str
    rows: dict[str, dict[str, float]]
    subject: str | None = None
    less_is_better: bool = False
    reach: dict[str, dict[str, float]] = {}

    def ratio(self, row: str, column: str) -> float | None:
        """Return how many times better the subject is than `column`; None if not comparable."""
        figures = self.rows[row]
        if self.subject is None or column == self.subject or column not in figures:
            return None
        ratio = figures[self.subject] / figures[column]
        return 1 / ratio if self.less_is_better else ratio

    def reached(self, row: str, column: str) -> bool | None:
        """Return whether the ratio is what was to be reached; None where nothing was."""
        ratio, reach = self.ratio(row, column), self.reach.get(row, {}).get(column)
        return None if ratio is None or reach is None else ratio >= reach


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures depend on."""

    cpu: str
    cores: int
    python: str
    trio: str

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} cores, Python {self.python}, trio {self.trio}"


def this_machine() -> Machine:
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        trio=version("trio"),
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def report(name: str, tables: Sequence[Table]) -> Path:
    """Print the tables, and write them to `results/<name>.json`; return that file."""
    machine = this_machine()
    print(f"{name}: {machine}\n")
    for table in tables:
        print("\n".join(_markdown(table)), end="\n\n")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    found = {"benchmark": name, "machine": machine, "tables": [_as_written(t) for t in tables]}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    return path


def _as_written(table: Table) -> dict[str, object]:
    ratios = {
        row: {column: round(ratio, 2) for column in figures if (ratio := table.ratio(row, column))}
        for row, figures in table.rows.items()
    }
    written: dict[str, object] = msgspec.to_builtins(table)
    return {**written, "ratios": ratios}


def _markdown(table: Table) -> Iterator[str]:
    columns = list(dict.fromkeys(column for row in table.rows.values() for column in row))
    cells = [[f"{table.title}, {table.unit}", *columns]]
    for row, figures in table.rows.items():
        cells.append([row, *(_cell(table, row, column, figures) for column in columns)])
    widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]
    header, *body = (_line(line, widths) for line in cells)
    yield header
    yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    yield from body


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(map(str.ljust, cells, widths))} |"


def _cell(table: Table, row: str, column: str, figures: dict[str, float]) -> str:
    if column not in figures:
        return ""
    figure, ratio = figures[column], table.ratio(row, column)
    text = f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
    if ratio is None:
        return text
    reached = table.reached(row, column)
    if reached is None:
        return f"{text} ({ratio:.1f}×)"
    reach = table.reach[row][column]
    return f"{text} ({ratio:.1f}×, {'reach' if reached else 'short of'} {reach:g}×)"
