"""`import`: requests from another scheduler's files, and a report of everything that
could not be imported exactly.
"""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from runner.access.places import Places, home_folder
from runner.cli.commands.authoring.import_report import print_report, with_cautions
from runner.cli.options import place_options
from runner.errors import RunnerError, UsageError
from runner.importing.imported import Import, ImportSettings
from runner.importing.runnable import runnable
from runner.importing.writing import request_text
from runner.requests.catalog.catalog_reader import CatalogReader
from runner.resources import schemas_folder
from runner.system.regular_files import TooLargeError, read_given, real_path

_STDIN = "-"
_SCHEMA = "process-request.schema.json"
_LARGEST = 64 << 20
"""The largest accepted source, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The command line's description of the source."""

    kind: str
    name: str
    has_users: bool
    command: str | None


@click.command("import")
@click.argument("kind", type=click.Choice(["crontab", "openbravo", "kubernetes", "yacron"]))
@click.argument("source", type=click.Path(readable=False, path_type=Path, allow_dash=True))
@click.option(
    "--output-directory",
    "-o",
    "folder",
    metavar="DIR",
    type=click.Path(readable=False, path_type=Path),
    help="Folder for the new files.  [default: the jobs folder]",
)
@click.option("--dry-run", is_flag=True, help="Print the files instead of writing them.")
@click.option(
    "--system",
    is_flag=True,
    help="crontab: each line names a user before the command, as in /etc/crontab.",
)
@click.option(
    "--command",
    metavar="TEMPLATE",
    help="openbravo: the command that runs a process, such as 'erp-run {process}'.",
)
@click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The report: text for people, or JSON lines.",
)
@place_options
def import_command(
    kind: str,
    source: Path,
    folder: Path | None,
    dry_run: bool,
    system: bool,
    command: str | None,
    output: str,
    places: Places,
) -> None:
    """Import requests from another scheduler's files: SOURCE, or - for standard input.

    Each request becomes a file of its own, with its source and remarks as comments. The
    report lists everything that could not be imported exactly. A request that would run
    something else, or at other times, is written with `scheduled: false` or left out.
    Existing files are never overwritten. `yacron` also reads cronstable's files.

    A runner that serves the folder runs new requests within a second. Remove them from
    the other scheduler first, or write them elsewhere with -o.

    The exit code is 0 if everything was imported exactly, else 1.

    \b
    Examples:
      crontab -l | runner import crontab - --dry-run
      runner import crontab /etc/cron.d/backup --system
      kubectl get cronjobs -o yaml | runner import kubernetes - -o imported
      runner import openbravo requests.csv --command 'erp-run {process}' --timezone Europe/Madrid
    """
    has_users = system or _is_system_crontab(source)
    asked = _checked(_Asked(kind=kind, name=_shown(source), has_users=has_users, command=command))
    target = folder or places.jobs
    imported = runnable(_imported(asked, _text(source), places), asked.name, places.own_zone)
    files = _files_of(imported, asked.name, schema=_schema_of(target, places.jobs))
    if not dry_run:
        _write(files, target, places)
    cautioned = with_cautions(imported, places.own_zone)
    print_report(cautioned, files, target, output, dry_run=dry_run, source=asked.name)
    if not imported.is_exact:
        raise SystemExit(1)


def _files_of(imported: Import, source: str, *, schema: str) -> dict[str, str]:
    """Return the texts of the request files, by file name."""
    return {
        f"{each.name}.yaml": request_text(each, source, schema=schema)
        for each in imported.requests
        if each.data
    }


def _is_system_crontab(source: Path) -> bool:
    return source == Path("/etc/crontab") or source.parent == Path("/etc/cron.d")


def _checked(asked: _Asked) -> _Asked:
    """Return the options. Raises UsageError for one that the kind of source does not have."""
    if asked.has_users and asked.kind != "crontab":
        raise UsageError("--system applies only to crontab")
    if asked.command is not None:
        if asked.kind != "openbravo":
            raise UsageError("--command applies only to openbravo")
        try:
            if not shlex.split(asked.command):
                raise UsageError("--command is empty; write a program, such as 'erp-run {process}'")
        except ValueError as error:
            raise UsageError(f"--command {asked.command!r} cannot be read: {error}") from None
    return asked


def _shown(source: Path) -> str:
    return "standard input" if str(source) == _STDIN else str(source)


def _text(source: Path) -> str:
    try:
        raw = _read_stdin() if str(source) == _STDIN else read_given(source, at_most=_LARGEST)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(
            f"{_shown(source)} is not UTF-8; convert it with `iconv -t utf-8`"
        ) from None
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}") from None


def _read_stdin() -> bytes:
    raw = sys.stdin.buffer.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise TooLargeError(_STDIN, _LARGEST)
    return raw


def _imported(asked: _Asked, text: str, places: Places) -> Import:
    """Parse the source with the importer of its kind."""
    settings = ImportSettings(
        default_zone=places.own_zone, now=datetime.now(UTC), zone=places.given_zone
    )
    match asked.kind:
        case "crontab":
            from runner.importing.importers.crontab import from_crontab

            return from_crontab(text, settings, has_users=asked.has_users, homes=_home)
        case "kubernetes":
            from runner.importing.importers.kubernetes import from_kubernetes

            return from_kubernetes(text, settings, name=asked.name)
        case "yacron":
            from runner.importing.importers.yacron import from_yacron

            return from_yacron(text, settings, name=asked.name)
    from runner.importing.importers.openbravo import from_openbravo

    return from_openbravo(text, settings, name=asked.name, command=asked.command)


def _home(user: str | None) -> str | None:
    try:
        home = home_folder() if user is None else pwd.getpwnam(user).pw_dir
    except (KeyError, OSError):
        return None
    return str(home) if home else None


def _schema_of(target: Path, jobs: Path) -> str:
    """Return the path of the schema for a file in a folder: beside the jobs folder if
    there is one, else where Runner is installed.
    """
    beside = jobs.absolute().parent / "schemas" / _SCHEMA
    return (
        os.path.relpath(beside, target.absolute())
        if beside.is_file()
        else str(schemas_folder() / _SCHEMA)
    )


def _write(files: Mapping[str, str], target: Path, places: Places) -> None:
    """Write all files, or none if a file or a request of that name already exists."""
    occupied = [str(target / name) for name in files if os.path.lexists(target / name)]
    is_inside = Path(real_path(target)).is_relative_to(real_path(places.jobs))
    known = (
        CatalogReader(places.jobs if is_inside else target, default_zone=places.own_zone)
        .read()
        .requests
    )
    occupied += [f"the request {Path(name).stem}" for name in files if Path(name).stem in known]
    if occupied:
        raise UsageError(
            f"these exist already: {', '.join(occupied[:10])}; nothing was written. "
            "Choose another folder with -o"
        )
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with (target / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise RunnerError(f"{target} cannot be written: {error.strerror}") from None
