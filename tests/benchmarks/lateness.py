"""The lateness of a single fire: one secondly request on an idle runner, and bare
sleepers in the same seconds.

The second sleeper commits a claim before it spawns, as a runner must: the difference to
the first is the cost of this disk.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Result, Series, Setting, Target
from benchmarks.service import Service, epoch_s

_SLEEPER = Path(__file__).with_name("bare_sleeper.py")
_WITHIN_S = 60.0  # of several due fires only one runs, so a busy machine needs longer for them


def measure(setting: Setting) -> Result:
    """Measure `size` fires.

    Runner's are due at whole seconds, the sleepers' half and three quarters of a second
    later.
    """
    service = Service(setting.folder)
    service.write(
        "tick", "process: {command: [/bin/true]}\ntiming: {schedule: {frequency: secondly}}"
    )
    with service.running() as process:
        bare = subprocess.run(
            [sys.executable, "-I", _SLEEPER, str(setting.size), setting.place("claims")],
            capture_output=True,
            text=True,
            check=True,
            timeout=setting.size + _WITHIN_S,
        )
        service.wait_for(
            process, lambda: len(_lateness_ms(service)) >= setting.size, within_s=_WITHIN_S
        )
    ours = Series(label="runner", unit="ms", values=tuple(_lateness_ms(service)[: setting.size]))
    pairs = [[float(word) * 1000 for word in line.split()] for line in bare.stdout.splitlines()]
    beside = tuple(
        Series(label=label, unit="ms", values=values)
        for label, values in zip(
            ("bare sleeper", "bare sleeper with a claim"), zip(*pairs, strict=True), strict=True
        )
    )
    return Result(
        ours=(ours,),
        beside=beside,
        targets=(
            Target(what="p50", unit="ms", value=ours.quantile(0.5), limit=2),
            Target(what="p99", unit="ms", value=ours.quantile(0.99), limit=10),
        ),
        notes=tuple(
            f"the p99 of the {each.label} is {each.quantile(0.99):.2f} ms" for each in beside
        ),
    )


def _lateness_ms(service: Service) -> list[float]:
    return [
        (epoch_s(record["started"]) - epoch_s(record["scheduled_for"])) * 1000
        for record in service.records("execution.finished")
        if record["started"]
    ]
