"""`runner --help` compared with an interpreter that does nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.harness import Result, Setting, Target, alternately, in_unit
from benchmarks.service import RUNNER, wall_s


def measure(setting: Setting) -> Result:
    """Measure the installed command if there is one, else `python -m runner`. `size` is
    ignored.
    """
    installed = Path(sys.executable).with_name("runner")
    command = [installed] if installed.exists() else [*RUNNER]
    found = alternately(
        setting.rounds,
        {
            "runner --help": lambda _: wall_s([*command, "--help"]),
            "python -c pass": lambda _: wall_s([sys.executable, "-c", "pass"]),
            "python -I -c pass": lambda _: wall_s([sys.executable, "-I", "-c", "pass"]),
        },
    )
    series = in_unit(
        {label: [value * 1000 for value in values] for label, values in found.items()}, "ms"
    )
    over = series[0].median - series[1].median
    target = Target(what="over `python -c pass`", unit="ms", value=over, limit=40)
    return Result(ours=series[:1], beside=series[1:], targets=(target,))
