"""The results, for people and for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.harness import Result, Series, Target

_HEADER = ("", "median", "lowest", "highest", "the first is")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A benchmark with its result; `trouble` if it could not be measured.

    `load` is the machine's one-minute load before and after. `before` is the result of
    an earlier commit's benchmark, measured right afterwards, if requested and
    available.
    """

    name: str
    what: str
    size: int
    rounds: int
    load: tuple[float, float]
    result: Result | None
    trouble: str = ""
    before: Result | None = None


def as_text(machine: Mapping[str, Any], rows: Iterable[Row]) -> str:
    """Return the table of tests/README.md, "Cost", with the compared figures."""
    about = [f"{name}: {_flat(value)}" for name, value in machine.items()]
    return "\n".join([*about, "", *(line for row in rows for line in (*_lines(row), ""))])


def as_json(machine: Mapping[str, Any], rows: Iterable[Row]) -> dict[str, Any]:
    """Return the results as JSON data: the values of each series and the figures
    computed from them.
    """
    return {"machine": dict(machine), "benchmarks": [_row_json(row) for row in rows]}


def _lines(row: Row) -> list[str]:
    load = f"load average {row.load[0]:.1f} → {row.load[1]:.1f}"
    lines = [f"{row.name}: {row.what} (size {row.size:,}, rounds {row.rounds}, {load})"]
    if row.result is None:
        return [*lines, f"  not measured: {row.trouble}"]
    cells = [_HEADER, *_cells(row.result)]
    if row.before is not None:
        cells += [(f"before: {label}", *rest) for label, *rest in _cells(row.before)]
    lines += [f"  {line}" for line in _columns(cells)]
    lines += [f"  {_target_text(target)}" for target in row.result.targets]
    return lines + [f"  ({note})" for note in row.result.notes]


def _cells(result: Result) -> list[tuple[str, ...]]:
    return [
        (
            each.label,
            f"{figure_text(each.median)} {each.unit}",
            figure_text(min(each.values)),
            figure_text(max(each.values)),
            f"{figure_text(ratio)} × that" if (ratio := _ratio(result, each)) is not None else "",
        )
        for each in (*result.ours, *result.beside)
    ]


def _ratio(result: Result, series: Series) -> float | None:
    """Return the ratio of Runner's first median to another's; None for Runner's own."""
    is_comparable = series in result.beside and series.median
    return result.ours[0].median / series.median if is_comparable else None


def _target_text(target: Target) -> str:
    sign, word = ("≥" if target.at_least else "≤"), ("met" if target.is_met else "MISSED")
    return (
        f"{word}: {target.what} {figure_text(target.value)} {target.unit} "
        f"(target {sign} {target.limit:g} {target.unit})"
    )


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Align the first column left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if not index else cell.rjust(width)
            for index, (cell, width) in enumerate(pairs)
        )
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    ]


def figure_text(value: float) -> str:
    """Write a value with two or three significant digits, and no exponent.

    >>> figure_text(1234.5), figure_text(0.012345), figure_text(0.0000123)
    ('1,234', '0.0123', '< 0.001')
    """
    if 0 < abs(value) < 0.001:
        return "< 0.001"
    if abs(value) >= 100 or not value:
        return f"{value:,.0f}"
    digits = 2 if abs(value) < 1 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}" if abs(value) >= 0.1 else f"{value:.3g}"


def _row_json(row: Row) -> dict[str, Any]:
    about = {
        name: getattr(row, name) for name in ("name", "what", "size", "rounds", "load", "trouble")
    }
    if row.result is None:
        return about
    before = {"before": _all_series_json(row.before)} if row.before is not None else {}
    return (
        about
        | before
        | {
            "series": _all_series_json(row.result),
            "targets": [
                asdict(target) | {"is_met": target.is_met} for target in row.result.targets
            ],
            "notes": list(row.result.notes),
        }
    )


def _all_series_json(result: Result) -> list[dict[str, Any]]:
    return [_series_json(each, result) for each in (*result.ours, *result.beside)]


def _series_json(series: Series, result: Result) -> dict[str, Any]:
    return asdict(series) | {
        "median": series.median,
        "lowest": min(series.values),
        "highest": max(series.values),
        "is_ours": series in result.ours,
        "ours_over_this": _ratio(result, series),
    }


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)
