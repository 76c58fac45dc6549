"""Every benchmark runs at its smallest size and prints its report. No figure is judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.command import BENCHMARKS
from benchmarks.harness import Series, Setting, Target
from benchmarks.peers import Peers
from benchmarks.table import Row, as_json, as_text


@pytest.mark.timeout(300)  # each starts runners, one after another, on a machine that may be busy
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_runs_at_its_smallest_size(name: str, tmp_path: Path) -> None:
    benchmark = BENCHMARKS[name]
    peers = Peers(tmp_path / "peers", is_wanted=False)
    setting = Setting(folder=tmp_path, size=benchmark.smallest, rounds=1, peers=peers)
    result = benchmark.measure(setting)
    row = Row(
        name=name, what=benchmark.what, size=setting.size, rounds=1, load=(0.0, 0.0), result=result
    )
    written = json.loads(json.dumps(as_json({}, [row])))["benchmarks"][0]
    assert written["name"] == name
    assert written["targets"]
    assert len(written["series"]) >= 2, "a figure stands beside nothing"
    for series in written["series"]:
        assert 0 <= series["lowest"] <= series["median"] <= series["highest"]
    assert name in as_text({}, [row])


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
