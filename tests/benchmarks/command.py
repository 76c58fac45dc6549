"""`python tests/benchmarks`: measure, print the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from benchmarks import burst, helping, idle, lateness, machine, monitoring, reading
from benchmarks.harness import Benchmark, Setting
from benchmarks.peers import Peers
from benchmarks.table import Row, as_json, as_text

BENCHMARKS = {
    "burst": Benchmark(
        what="requests due at one instant, /bin/true, claims and log durable",
        size=1000,
        smallest=3,
        rounds=3,
        measure=burst.measure,
    ),
    "lateness": Benchmark(
        what="lateness of a lone fire",
        size=100,
        smallest=1,
        rounds=1,
        measure=lateness.measure,
    ),
    "idle-turn": Benchmark(
        what="idle turn with registered requests",
        size=100_000,
        smallest=2,
        rounds=20,
        measure=idle.measure_turn,
    ),
    "idle-cpu": Benchmark(
        what="idle CPU with requests",
        size=10_000,
        smallest=2,
        rounds=3,
        measure=idle.measure_cpu,
    ),
    "validate": Benchmark(
        what="validate files, cold",
        size=10_000,
        smallest=2,
        rounds=3,
        measure=reading.measure_validate,
    ),
    "next": Benchmark(
        what="the coming 1,000 fires of requests",
        size=10_000,
        smallest=2,
        rounds=3,
        measure=reading.measure_next,
    ),
    "edit": Benchmark(
        what="one edit among files, write to live",
        size=10_000,
        smallest=2,
        rounds=10,
        measure=reading.measure_edit,
    ),
    "start": Benchmark(
        what="start-up with requests to first possible fire",
        size=10_000,
        smallest=2,
        rounds=3,
        measure=reading.measure_start,
    ),
    "help": Benchmark(
        what="`runner --help` over bare Python",
        size=1,
        smallest=1,
        rounds=15,
        measure=helping.measure,
    ),
    "failures": Benchmark(
        what="newest 20 failures out of a log of records",
        size=1_000_000,
        smallest=200,
        rounds=3,
        measure=monitoring.measure,
    ),
    "memory": Benchmark(
        what="resident memory with requests",
        size=10_000,
        smallest=2,
        rounds=2,
        measure=idle.measure_memory,
    ),
}


def _sizes(
    _context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, int]:
    sizes = {}
    for text in given:
        name, _, size = text.partition("=")
        if name not in BENCHMARKS or not size.isdecimal() or int(size) < BENCHMARKS[name].smallest:
            raise click.BadParameter(
                f"{text!r}: NAME=N with a NAME of {', '.join(BENCHMARKS)} and N not too small"
            )
        sizes[name] = int(size)
    return sizes


@click.command()
@click.option(
    "--only",
    "names",
    type=click.Choice(list(BENCHMARKS)),
    multiple=True,
    help="Only this; may be repeated.",
)
@click.option(
    "--size",
    "sizes",
    metavar="NAME=N",
    callback=_sizes,
    multiple=True,
    help="Another size than the target's.",
)
@click.option(
    "--rounds", type=click.IntRange(1), help="How often each is measured.  [default: by benchmark]"
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write all figures there, too."
)
@click.option(
    "--peers/--no-peers",
    "with_peers",
    default=True,
    help="Measure what the package index has, too.",
)
@click.option(
    "--peers-folder", type=click.Path(path_type=Path), help="Keep the peers' environment there."
)
def main(
    names: tuple[str, ...],
    sizes: dict[str, int],
    rounds: int | None,
    json_file: Path | None,
    with_peers: bool,
    peers_folder: Path | None,
) -> None:
    """Measure what DESIGN.md, section 9, sets targets for, with peers and physical
    limits beside it.

    Everything happens in a temporary folder (TMPDIR says where: its disk is measured,
    too) and nothing is left. Exit code 1 if a target is missed.
    """
    os.environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # with it each program that we start compiles itself anew
    rows = []
    with tempfile.TemporaryDirectory(prefix="runner-benchmarks-") as folder:
        peers = Peers(peers_folder or Path(folder) / "peers", is_wanted=with_peers)
        about = machine.described(Path(folder))
        for name in names or BENCHMARKS:
            size = sizes.get(name, BENCHMARKS[name].size)
            click.echo(f"measuring {name} …", err=True)
            place = Path(folder) / name
            place.mkdir()
            setting = Setting(
                folder=place, size=size, rounds=rounds or BENCHMARKS[name].rounds, peers=peers
            )
            rows.append(_row(name, setting))
        about["peers"] = machine.described_peers(peers)
    if json_file:
        json_file.write_text(json.dumps(as_json(about, rows), indent=2) + "\n")
    click.echo(as_text(about, rows))
    is_met = all(row.result and all(target.is_met for target in row.result.targets) for row in rows)
    sys.exit(0 if is_met else 1)


def _row(name: str, setting: Setting) -> Row:
    """Measure one; that it cannot be measured does not hinder the others."""
    benchmark, before, trouble = BENCHMARKS[name], os.getloadavg()[0], ""
    try:
        result = benchmark.measure(setting)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        result, trouble = None, f"{type(error).__name__}: {error}"
    return Row(
        name=name,
        what=benchmark.what,
        size=setting.size,
        rounds=setting.rounds,
        load=(before, os.getloadavg()[0]),
        result=result,
        trouble=trouble,
    )
