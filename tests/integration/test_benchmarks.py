"""The benchmarks' command runs each benchmark at its smallest size. No figure is judged."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.catalog import BENCHMARKS
from benchmarks.chart import as_svg
from benchmarks.command import main
from benchmarks.harness import Result, Series, Target
from benchmarks.table import Row, as_text
from click.testing import CliRunner


@pytest.mark.timeout(300)  # each benchmark starts several runners, perhaps on a busy machine
@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_command_measures_a_benchmark_at_its_smallest_size(name: str, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    size = f"{name}={BENCHMARKS[name].smallest}"
    arguments = ["--no-peers", "--only", name, "--size", size, "--rounds", "1"]
    result = CliRunner().invoke(main, [*arguments, "--json", str(figures)])
    assert result.exit_code in (0, 1), result.output  # 1: a target was missed
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


def test_table_and_chart_show_an_earlier_commit_next_to_the_present() -> None:
    now, before = (
        Result(
            ours=(Series(label="runner", unit="/s", values=(rate,)),),
            beside=(Series(label="bare loop", unit="/s", values=(1000.0,)),),
            targets=(),
        )
        for rate in (800.0, 400.0)
    )
    row = Row(
        name="burst", what="", size=9, rounds=1, load=(0, 0), result=now, trouble="", before=before
    )
    text = as_text({}, [row])
    assert re.search(r"  bare loop .* 0\.8\d* × that", text)
    assert re.search(r"  before: bare loop .* 0\.4\d* × that", text)
    drawing = ElementTree.fromstring(as_svg([row]))
    words = [each.text for each in drawing.iter() if each.text and "×" in each.text]
    assert words == ["0.80 × now", "0.40 × before"]
    bars = [each for each in drawing.iter() if each.get("fill", "").startswith("#")]
    widths = [int(each.get("width", "")) for each in bars]
    assert widths[0] == 2 * widths[1]
