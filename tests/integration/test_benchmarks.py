"""The command of the benchmarks runs each at its smallest size. No figure is judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.command import BENCHMARKS, main
from benchmarks.harness import Series, Target
from click.testing import CliRunner


@pytest.mark.timeout(300)  # each starts runners, one after another, on a machine that may be busy
@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_command_measures_a_benchmark_at_its_smallest_size(name: str, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    size = f"{name}={BENCHMARKS[name].smallest}"
    arguments = ["--no-peers", "--only", name, "--size", size, "--rounds", "1"]
    result = CliRunner().invoke(main, [*arguments, "--json", str(figures)])
    assert result.exit_code in (0, 1), result.output  # 1: missed a target, which is not judged
    assert name in result.stdout
    report = json.loads(figures.read_text())
    [measured] = report["benchmarks"]
    assert measured["name"] == name
    assert measured["targets"]
    assert len(measured["series"]) >= 2, "a figure stands beside nothing"
    for series in measured["series"]:
        assert 0 <= series["lowest"] <= series["median"] <= series["highest"]


def test_a_quantile_is_the_nearest_rank() -> None:
    series = Series(
        label="a", unit="s", values=tuple(float(number) for number in range(100, 0, -1))
    )
    assert [series.quantile(share) for share in (0.01, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert Series(label="one", unit="s", values=(7.0,)).quantile(0.5) == 7


def test_a_target_is_met_on_its_own_side() -> None:
    assert Target(what="rate", unit="×", value=0.85, limit=0.85, at_least=True).is_met
    assert not Target(what="rate", unit="×", value=0.84, limit=0.85, at_least=True).is_met
    assert Target(what="time", unit="s", value=3.0, limit=3).is_met
    assert not Target(what="time", unit="s", value=3.01, limit=3).is_met
