"""`python tests/benchmarks`: measure, print the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
from benchmarks import machine
from benchmarks.catalog import BENCHMARKS
from benchmarks.chart import as_svg
from benchmarks.earlier import Earlier
from benchmarks.harness import Result, Setting
from benchmarks.peers import Peers
from benchmarks.table import Row, as_json, as_text

_PATH = click.Path(path_type=Path)


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
@click.option("--quick", is_flag=True, help="Small sizes and one round: a look, in a minute.")
@click.option(
    "--rounds", type=click.IntRange(1), help="How often each is measured.  [default: by benchmark]"
)
@click.option(
    "--before",
    "earlier_commit",
    metavar="COMMIT",
    help="Measure this commit, too, after each benchmark, with its own benchmarks.",
)
@click.option("--json", "json_file", type=_PATH, help="Write all figures there, too.")
@click.option("--svg", "svg_file", type=_PATH, help="Draw a chart of the ratios there, too.")
@click.option(
    "--peers/--no-peers",
    "with_peers",
    default=True,
    help="Measure what the package index has, too.",
)
@click.option("--peers-folder", type=_PATH, help="Keep the peers' environment there.")
def main(
    names: tuple[str, ...],
    sizes: dict[str, int],
    quick: bool,
    rounds: int | None,
    earlier_commit: str | None,
    json_file: Path | None,
    svg_file: Path | None,
    with_peers: bool,
    peers_folder: Path | None,
) -> None:
    """Measure what tests/README.md, "Cost", has targets for, with peers and physical
    limits beside it.

    Everything happens in a temporary folder (TMPDIR says where: its disk is measured,
    too) and nothing is left. Exit code 1 if a target is missed.
    """
    # With it set, each started program would compile its modules again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rows = []
    with tempfile.TemporaryDirectory(prefix="runner-benchmarks-") as folder:
        peers = Peers(peers_folder or Path(folder) / "peers", is_wanted=with_peers)
        earlier = _earlier(earlier_commit, Path(folder) / "earlier")
        about = machine.described(Path(folder))
        for name in names or BENCHMARKS:
            benchmark = BENCHMARKS[name]
            setting = Setting(
                folder=Path(folder) / name,
                size=sizes.get(name, benchmark.quick if quick else benchmark.size),
                rounds=rounds or (1 if quick else benchmark.rounds),
                peers=peers,
            )
            setting.folder.mkdir()
            click.echo(f"measuring {name} …", err=True)
            rows.append(_row(name, setting, earlier))
        about["peers"] = machine.described_peers(peers)
    if json_file:
        json_file.write_text(json.dumps(as_json(about, rows), indent=2) + "\n")
    if svg_file:
        svg_file.write_text(as_svg(rows))
    click.echo(as_text(about, rows))
    is_met = all(row.result and all(target.is_met for target in row.result.targets) for row in rows)
    sys.exit(0 if is_met else 1)


def _earlier(commit: str | None, folder: Path) -> Earlier | None:
    try:
        return Earlier(commit, folder) if commit else None
    except subprocess.SubprocessError as error:
        raise click.BadParameter(f"{commit}: {error}", param_hint="--before") from error


def _row(name: str, setting: Setting, earlier: Earlier | None) -> Row:
    """Measure one benchmark. If it cannot be measured, the others go on."""
    benchmark, before_load = BENCHMARKS[name], os.getloadavg()[0]
    result, trouble = _attempt(lambda: benchmark.measure(setting))
    before, before_trouble = None, ""
    if earlier is not None:
        before, before_trouble = _attempt(
            lambda: earlier.measure(name, size=setting.size, rounds=setting.rounds)
        )
    if result is not None and before_trouble:
        note = f"before: not measured, {before_trouble}"
        result = replace(result, notes=(*result.notes, note))
    return Row(
        name=name,
        what=benchmark.what,
        size=setting.size,
        rounds=setting.rounds,
        load=(before_load, os.getloadavg()[0]),
        result=result,
        trouble=trouble,
        before=before,
    )


def _attempt(measure: Callable[[], Result]) -> tuple[Result | None, str]:
    try:
        return measure(), ""
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return None, f"{type(error).__name__}: {error}"
