"""The start of commands compared with an interpreter that does nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import Result, Setting, Target, alternately, in_unit
from benchmarks.service import RUNNER, Service, processor_s, wall_s

_LIMIT_MS = 55


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


def measure_commands(setting: Setting) -> Result:
    """Measure the processor time of commands beside a runner with `size` requests."""
    service = Service(setting.folder)
    service.write_idle(setting.size)
    run = [*RUNNER, "exec", "idle-000000"]
    commands = {
        f"runner {name}": [*RUNNER, *name.split()]
        for name in ("status", "monitor", "log idle-000000")
    }
    with service.running():
        wall_s(run, environment=service.environment)
        measures = {
            label: partial(_processor_ms, command, service.environment)
            for label, command in commands.items()
        }
        measures["python -c pass"] = partial(_processor_ms, [sys.executable, "-c", "pass"], None)
        series = in_unit(alternately(setting.rounds, measures), "ms")
    python = series[-1].median
    return Result(
        ours=series[:-1],
        beside=series[-1:],
        targets=tuple(
            Target(
                what=f"{each.label} over `python -c pass`",
                unit="ms",
                value=each.median - python,
                limit=_LIMIT_MS,
            )
            for each in series[:-1]
        ),
        notes=("processor time, because another load changes it less",),
    )


def _processor_ms(
    command: Sequence[str | Path], environment: dict[str, str] | None, _round: int
) -> float:
    return processor_s(command, environment=environment) * 1000
