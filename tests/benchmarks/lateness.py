"""How late a lone fire is: one secondly request on an idle runner, beside a bare sleeper in the same seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Result, Series, Setting, Target
from benchmarks.service import Service, epoch_s

_SLEEPER = Path(__file__).with_name("bare_sleeper.py")


def measure(setting: Setting) -> Result:
    """Measure so many fires as `size` says. Ours are due at whole seconds, the sleeper's half a second later."""
    service = Service(setting.folder)
    service.write("tick", "process: {command: [/bin/true]}\ntiming: {schedule: {frequency: secondly}}")
    with service.running() as process:
        bare = subprocess.run(
            [sys.executable, "-I", _SLEEPER, str(setting.size)],
            capture_output=True,
            text=True,
            check=True,
            timeout=setting.size + 60,
        )
        service.wait_for(process, lambda: len(_lateness_ms(service)) >= setting.size, within_s=10)
    ours = Series(label="runner", unit="ms", values=tuple(_lateness_ms(service)[: setting.size]))
    beside = Series(label="bare sleeper", unit="ms", values=tuple(float(line) * 1000 for line in bare.stdout.split()))
    return Result(
        ours=(ours,),
        beside=(beside,),
        targets=(
            Target(what="p50", unit="ms", value=ours.quantile(0.5), limit=2),
            Target(what="p99", unit="ms", value=ours.quantile(0.99), limit=10),
        ),
        notes=(f"the bare sleeper's p99 is {beside.quantile(0.99):.2f} ms",),
    )


def _lateness_ms(service: Service) -> list[float]:
    return [
        (epoch_s(record["started"]) - epoch_s(record["scheduled_for"])) * 1000
        for record in service.records("execution.finished")
        if record["started"]
    ]
