"""Ten thousand files: validating them, reading them at a start, and an edit of one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness import Result, Setting, Target, alternately, in_unit
from benchmarks.service import RUNNER, Record, Service, epoch_s, processor_s, wall_s

_PEER_SHARE = 10  # cronstable gets a tenth of the entries, and its time counts tenfold
_LIVE_WITHIN_S = 30.0
_PARSE = """\
import pathlib, sys, yaml
for path in pathlib.Path(sys.argv[1]).iterdir():
    yaml.load(path.read_bytes(), yaml.CSafeLoader)
"""
_PARSE_AND_CHECK = """\
import json, pathlib, sys, yaml
from jsonschema import Draft7Validator
validator = Draft7Validator(json.loads(pathlib.Path(sys.argv[2]).read_bytes()))
for path in pathlib.Path(sys.argv[1]).iterdir():
    validator.validate(yaml.load(path.read_bytes(), yaml.CSafeLoader))
"""
_SCHEMA = Path(__file__).parents[2] / "schemas" / "process-request.schema.json"
_CRONSTABLE_ENTRY = (
    'jobs:\n  - name: idle-{number}\n    command:\n      - /bin/true\n    schedule: "0 3 * * *"\n'
)


def measure_validate(setting: Setting) -> Result:
    """Measure `runner validate` on `size` files, compared with cronstable, a bare YAML
    parser, and that parser with the validating library.
    """
    service = Service(setting.folder)
    service.write_idle(setting.size)
    measures = {
        "runner validate": lambda _: wall_s([*RUNNER, "validate"], environment=service.environment),
        "PyYAML's C loader alone": lambda _: wall_s([sys.executable, "-c", _PARSE, service.jobs]),
        "C loader and jsonschema": lambda _: wall_s(
            [sys.executable, "-c", _PARSE_AND_CHECK, service.jobs, _SCHEMA]
        ),
    }
    notes = ["cold: a new process, nothing kept by it; the files are in the page cache"]
    if setting.peers.python:
        count = max(1, setting.size // _PEER_SHARE)
        config = _cronstable_files(setting.place("cronstable"), count)
        command: list[str | Path] = [setting.peers.command("cronstable"), "-c", config, "-v"]
        measures[f"cronstable -v × {setting.size / count:g}"] = lambda _: (
            wall_s(command) * setting.size / count
        )
        notes.append(f"cronstable: {count} files, scaled in proportion")
    series = in_unit(alternately(setting.rounds, measures), "s")
    return Result(
        ours=series[:1],
        beside=series[1:],
        targets=(
            Target(
                what="over C loader and jsonschema",
                unit="×",
                value=series[0].median / series[2].median,
                limit=1.7,
            ),
        ),
        notes=tuple(filter(None, [*notes, setting.peers.trouble])),
    )


def measure_next(setting: Setting) -> Result:
    """Measure `runner next` on `size` files: without a store, and with a store that
    knows them.
    """
    service = Service(setting.folder)
    service.write_idle(setting.size)
    command = [*RUNNER, "next", "-n", "1000"]
    cold = alternately(
        setting.rounds,
        {
            "runner next, files alone": lambda _: wall_s(command, environment=service.environment),
            "PyYAML's C loader alone": lambda _: wall_s(
                [sys.executable, "-c", _PARSE, service.jobs]
            ),
        },
    )
    with service.running():
        known = alternately(
            setting.rounds,
            {
                "runner next, beside a runner": lambda _: wall_s(
                    command, environment=service.environment
                )
            },
        )
    alone, parser = in_unit(cold, "s")
    beside_runner = in_unit(known, "s")
    return Result(
        ours=(alone, *beside_runner),
        beside=(parser,),
        targets=(Target(what="wall time, as of validate", unit="s", value=alone.median, limit=3),),
        notes=("the coming 1,000 fires of all, merged and sorted",),
    )


def measure_unchanged(setting: Setting) -> Result:
    """Measure commands on `size` files that are unchanged since another command read them,
    and the same commands without a cache, in processor time.
    """
    service = Service(setting.folder)
    service.write_idle(setting.size)
    service.state.mkdir(mode=0o700)
    without = service.environment | {"RUNNER_STATE": str(setting.folder / "none")}
    commands = {name: [*RUNNER, *name.split()] for name in ("validate", "ls", "next -n 1000")}
    for _ in range(2):  # a file that was written a moment before is kept the second time
        processor_s(commands["validate"], environment=service.environment)
    measures: dict[str, Callable[[int], float]] = {}
    for kept, environment in (("unchanged", service.environment), ("without a cache", without)):
        for name, command in commands.items():
            measures[f"runner {name}, {kept}"] = _processor_time_of(command, environment)
    parse: list[str | Path] = [sys.executable, "-c", _PARSE, service.jobs]
    measures["PyYAML's C loader alone"] = _processor_time_of(parse, None)
    found = alternately(setting.rounds, measures)
    series = in_unit(found, "s")
    loader = series[-1].median
    return Result(
        ours=series[:-1],
        beside=series[-1:],
        targets=tuple(
            Target(
                what=f"{each.label.removeprefix('runner ')}, over the C loader",
                unit="×",
                value=each.median / loader,
                limit=0.8,
            )
            for each in series[: len(commands)]
        ),
        notes=("processor time, of new processes; the state folder has a cache and no store",),
    )


def measure_edit(setting: Setting) -> Result:
    """Measure from the end of an edit to the record of its reload, with `size` files."""
    limit_s = 0.25 if setting.size <= 10_000 else 0.35
    service = Service(setting.folder)
    service.write_idle(setting.size)
    with service.running() as process:
        if setting.size > 1000:
            _await_quiet(service.log)
        found = alternately(
            setting.rounds,
            {
                "runner": lambda number: _live_after_s(service, process, number),
                "stat of all files": lambda _: _stat_s(service.jobs),
            },
        )
    series = in_unit(found, "s")
    return Result(
        ours=series[:1],
        beside=series[1:],
        targets=(Target(what="write to live", unit="s", value=series[0].median, limit=limit_s),),
        notes=(
            (
                "0.15 s of it is the quiet that is waited for; live: the reload is committed, "
                "in force and recorded"
            ),
        ),
    )


def measure_start(setting: Setting) -> Result:
    """Measure from exec to the start of the first execution with `size` requests, for
    two starts.

    Each start finds one new `run_immediately` file, whose start is the first possible
    fire.
    """
    services: list[Service] = []

    def first_s(number: int) -> float:
        services.append(Service(setting.place(f"start-{number}")))
        services[-1].write_idle(setting.size - 1)
        return _first_fire_s(services[-1], "now-first")

    found = alternately(
        setting.rounds,
        {
            "runner, first start": first_s,
            "runner, second start on unchanged files": lambda _: _first_fire_s(
                services[-1], "now-second"
            ),
            "PyYAML's C loader alone": lambda _: wall_s(
                [sys.executable, "-c", _PARSE, services[-1].jobs]
            ),
        },
    )
    series = in_unit(found, "s")
    return Result(
        ours=series[:2],
        beside=series[2:],
        targets=tuple(
            Target(what=each.label.removeprefix("runner, "), unit="s", value=each.median, limit=4)
            for each in series[:2]
        ),
    )


def _live_after_s(service: Service, process: subprocess.Popen[bytes], number: int) -> float:
    """Edit one file in place; return the seconds until its reload was recorded, without
    any other change.
    """
    path = service.jobs / f"idle-{number:06}.yaml"
    before = service.log.stat().st_size
    text = f"description: edit {time.time_ns()}\n{path.read_text()}"
    with path.open("r+b", buffering=0) as file:
        # One call overwrites the shorter content, so the file is never empty.
        file.write(text.encode())
    begun_s = time.perf_counter()
    (record,) = service.wait_for(
        process, lambda: service.records("runner.reloaded", since=before), within_s=_LIVE_WITHIN_S
    )
    taken_s = time.perf_counter() - begun_s
    if record["changed"] != [path.stem]:
        raise ValueError(f"{path.stem} was edited, but changed is {record['changed']}")
    return taken_s


def _await_quiet(log: Path) -> None:
    """Wait until the work after a start is done: the log does not grow for two seconds."""
    size = -1
    while size != (size := log.stat().st_size):
        time.sleep(2)


def _processor_time_of(
    command: Sequence[str | Path], environment: dict[str, str] | None
) -> Callable[[int], float]:
    return lambda _: processor_s(command, environment=environment)


def _stat_s(folder: Path) -> float:
    begun_s = time.perf_counter()
    for entry in os.scandir(folder):
        entry.stat()
    return time.perf_counter() - begun_s


def _first_fire_s(service: Service, name: str) -> float:
    """Start a runner with one more `run_immediately` request; return the seconds until
    its start.
    """
    service.write(name, "process: {command: [/bin/true]}\ntiming: run_immediately\n")
    begun_s = time.time()
    with service.running() as process:
        records = service.wait_for(
            process, lambda: _started(service, name), within_s=60, every_s=0.05
        )
    return epoch_s(records[0]["started"]) - begun_s


def _started(service: Service, name: str) -> list[Record]:
    return [record for record in service.records("execution.started") if record["request"] == name]


def _cronstable_files(folder: Path, count: int) -> Path:
    for number in range(count):
        (folder / f"idle-{number:06}.yaml").write_text(_CRONSTABLE_ENTRY.format(number=number))
    return folder
