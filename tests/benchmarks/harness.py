"""A benchmark and its results: values with their spread, and the targets that they must
meet. Pure.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import Peers


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The measured values of one subject, by round. `unit` is ms, µs, s, MB, % or /s."""

    label: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def quantile(self, share: float) -> float:
        """Return the smallest value that at least `share` of all do not exceed (nearest rank)."""
        ordered = sorted(self.values)
        return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target of tests/README.md, "Cost": at most `limit`, or with `at_least` at least
    that much.
    """

    what: str
    unit: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a benchmark: `ours`, the first series to compare with, and further
    series `beside` it from the same rounds.

    `notes` say what was skipped or reduced, and why.
    """

    ours: tuple[Series, ...]
    beside: tuple[Series, ...]
    targets: tuple[Target, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and how large to measure. `folder` belongs to the benchmark; `peers` are
    the compared programs.
    """

    folder: Path
    size: int
    rounds: int
    peers: Peers

    def place(self, name: str) -> Path:
        """Return a new folder."""
        path = self.folder / name
        path.mkdir(parents=True)
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A row of the table. `measure` runs `rounds` times at `size` (the target's), or at
    `quick` or `smallest`.
    """

    what: str
    size: int
    quick: int
    smallest: int
    rounds: int
    measure: Callable[[Setting], Result] = field(repr=False)


def alternately(
    rounds: int, measures: Mapping[str, Callable[[int], float]]
) -> dict[str, tuple[float, ...]]:
    """Measure A B A B, so that other load on the machine affects all alike; return the
    values of each.
    """
    values: dict[str, list[float]] = {label: [] for label in measures}
    for number in range(rounds):
        for label, measure in measures.items():
            values[label].append(measure(number))
    return {label: tuple(found) for label, found in values.items()}


def in_unit(found: Mapping[str, Sequence[float]], unit: str) -> tuple[Series, ...]:
    """Return measured values as series of one unit."""
    return tuple(
        Series(label=label, unit=unit, values=tuple(values)) for label, values in found.items()
    )
