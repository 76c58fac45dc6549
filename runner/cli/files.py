"""`init`, `validate`, `schema`: what has to do with files alone."""

from __future__ import annotations

import shlex
import shutil
from functools import partial
from pathlib import Path

import click

from runner.cli.options import Places, output_option, place_options
from runner.errors import Problem, UsageError


@click.command("init")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path())
def init_command(folder: Path) -> None:
    """Make a jobs folder with commented examples in DIR (default: here).

    A jobs.d that holds anything already is left alone.

    \b
    Example:
      runner init demo && cd demo && runner start
    """
    from runner.resources import examples_folder, schemas_folder

    jobs, schema = folder / "jobs.d", folder / "schemas" / "process-request.schema.json"
    if jobs.exists() and (not jobs.is_dir() or any(jobs.iterdir())):
        raise UsageError(f"{jobs} is occupied; nothing was written")
    examples = {jobs / example.name: example for example in sorted(examples_folder().glob("*.yaml"))}
    try:
        # The examples' first line points editors there.
        for path, source in {**examples, schema: schemas_folder() / schema.name}.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path)
            click.echo(f"wrote {path}")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from None
    where = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    click.echo(f"\nNext: {where}runner start", err=True)


@click.command("validate")
@click.argument("paths", metavar="[PATH]...", type=click.Path(path_type=Path), nargs=-1)
@output_option
@place_options
def validate_command(paths: tuple[Path, ...], output: str, places: Places) -> None:
    """Tell all problems of all files, each at file:line:column with what would be right.

    PATH is a jobs folder, or a file in one: then only its problems are told. Exit code 1 if there are any.

    \b
    Examples:
      runner validate
      runner validate jobs.d/backup.yaml --output json
    """
    from runner.cli.printing import json_line

    problems, count = _problems(paths or (places.jobs,), places)
    if output == "json":
        for problem in problems:
            click.echo(json_line({name: getattr(problem, name) for name in Problem.__slots__}))
    else:
        _print_problems(problems)
        verdict = f"{len(problems)} problem{'s' * (len(problems) != 1)} found" if problems else "all valid"
        click.echo(f"{count} request{'s' * (count != 1)}, {verdict}", err=True)
    if problems:
        raise SystemExit(1)


@click.command("schema")
@click.argument("name", type=click.Choice(["process-request", "monitor-record"]), default="process-request")
def schema_command(name: str) -> None:
    """Print a JSON schema: of a process request (default), or of a line of the monitor log."""
    from runner.resources import schema_text

    click.echo(schema_text(name), nl=False)


def _problems(paths: tuple[Path, ...], places: Places) -> tuple[list[Problem], int]:
    from runner.requests.catalog import CatalogReader

    problems, count = [], 0
    for path in paths:
        if not path.exists():
            raise UsageError(f"there is no {path}; --jobs or PATH names the jobs folder")
        if path.is_file() and path.suffix not in (".yaml", ".yml"):
            raise UsageError(f"{path} is no request file; those end in .yaml or .yml")
        folder = path if path.is_dir() else _jobs_folder_of(path, places.jobs)
        catalog = CatalogReader(folder, default_zone=places.zone).read()
        is_meant = partial(_is_meant, path.resolve())
        problems += [problem for problem in catalog.problems if is_meant(Path(problem.file))]
        count += sum(is_meant(folder / request.source.file) for request in catalog.requests.values())
    return problems, count


def _jobs_folder_of(file: Path, jobs: Path) -> Path:
    """Return the folder to read for a file: the jobs folder if it is in there, for it may refer to other requests."""
    return jobs if file.resolve().is_relative_to(jobs.resolve()) else file.parent


def _is_meant(path: Path, file: Path) -> bool:
    return path.is_dir() or file.resolve() == path


def _print_problems(problems: list[Problem]) -> None:
    for problem in problems:
        place = click.style(f"{problem.file}:{problem.line}:{problem.column}:", bold=True)
        click.echo(f"{place} {problem.message}")
        if problem.suggestion:
            click.echo(f"    {click.style(problem.suggestion, fg='green')}")
