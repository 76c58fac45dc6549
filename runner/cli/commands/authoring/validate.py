"""`validate`: every problem of the request files. Needs only files, no store."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.access.places import Places
from runner.cli.options import output_option_of, reading_options
from runner.cli.output.reports import FORMS, Checked, report
from runner.cli.output.tables import echo
from runner.errors import Problem, UsageError
from runner.system.regular_files import is_missing, real_path, require_visible
from runner.values import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runner.planning.views.cautions import Caution
    from runner.requests.catalog.catalog import Catalog
    from runner.requests.catalog.catalog_reader import CatalogReader
    from runner.requests.model import Outline, ProcessRequest
    from runner.requests.receivers import AlertSettings

_LARGE = 1_000
"""From this number of files on, reading takes long enough to show a progress bar."""


@click.command("validate")
@click.argument(
    "paths", metavar="[PATH]...", type=click.Path(readable=False, path_type=Path), nargs=-1
)
@output_option_of(
    FORMS,
    "Text for people, JSON lines, or the formats of GitHub Actions, "
    "code scanning (SARIF) and test reports (JUnit).",
)
@click.option("--strict", "is_strict", is_flag=True, help="Count cautions as problems.")
@reading_options
def validate_command(paths: tuple[Path, ...], output: str, is_strict: bool, places: Places) -> None:
    """Check every file; report each problem at file:line:column and how to fix it.

    Cautions are surprises of valid requests, such as `*/45` or a day 31. PATH is a jobs
    folder or a file in one, which limits the report to that file. The exit code is 1 if
    there are problems.

    \b
    Examples:
      runner validate
      runner validate jobs.d/backup.yaml --output json
      runner validate --output sarif > runner.sarif
    """
    checked = _checked(paths or (places.jobs,), places)
    if is_strict:
        checked = _strictly(checked)
    for line in report(output, checked):
        echo(line)
    found = len(checked.problems)
    if output != "json":
        echo(_verdict(checked), err=True)
    if found:
        raise SystemExit(1)


def _verdict(checked: Checked) -> str:
    requests, files, problems = checked.requests, len(checked.files), len(checked.problems)
    cautions = len(checked.cautions)
    more = f", {counted(cautions, 'caution')}" if cautions else ""
    if not problems:
        return f"{counted(requests, 'request')}, all valid{more}"
    valid = f"{counted(requests, 'valid request')}"
    found = f"{counted(problems, 'problem')}"
    return f"{counted(files, 'file')}: {valid}, {found}{more}"


def _strictly(checked: Checked) -> Checked:
    """Return the result with its cautions among the problems."""
    problems = sorted((*checked.problems, *checked.cautions), key=_place)
    return replace(checked, problems=tuple(problems), cautions=())


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.file, problem.line, problem.column


def _checked(paths: tuple[Path, ...], places: Places) -> Checked:
    """Read each folder once, and return what concerns `paths`."""
    from runner.requests.catalog.cached_requests import outlines_of
    from runner.values import neutral

    now = datetime.now(UTC)
    problems: list[Problem] = []
    cautions: list[Problem] = []
    good: list[str] = []
    for folder, meant in _folders(paths, places).items():
        reader, catalog = _read(folder, places)
        if catalog.missing:  # it exists, as _folders checked, so it cannot be read
            require_visible(folder)
        is_meant, prefix = partial(_is_meant, meant), str(folder / "-").removesuffix("-")
        for request in outlines_of(catalog.requests).values():
            file = neutral(prefix + request.file)
            if is_meant(file):
                good.append(file)
                cautions += _cautions_of(request, file, now, has_queues=places.is_in_fleet)
                if set(request.receivers) - places.settings.alerts.receivers.keys():
                    whole = catalog.requests[request.name]
                    problems += _unknown_receivers(whole, folder, places.settings.alerts)
        _warn_of_root(folder, places, reader, is_meant)
        problems += _problems_of(catalog, is_meant)
    bad = [problem.file for problem in problems]
    return Checked(
        problems=tuple(sorted(dict.fromkeys(problems), key=_place)),
        cautions=tuple(sorted(cautions, key=_place)),
        files=tuple(sorted({*good, *bad})),
        requests=len(good),
    )


def _cautions_of(
    request: Outline, file: str, now: datetime, *, has_queues: bool
) -> Iterator[Problem]:
    """Yield the cautions about a request, at the line where it begins."""
    from runner.planning.views.request_cautions import queue_caution, request_cautions

    def problem(caution: Caution, path: str) -> Problem:
        return Problem(
            file=file, line=request.source.line, column=1, path=path, message=caution.message
        )

    for each in request_cautions(request, now):
        yield problem(each, "timing")
    if not has_queues and (unserved := queue_caution(request)) is not None:
        yield problem(unserved, "process.queue")


def _unknown_receivers(
    request: ProcessRequest, folder: Path, alerts: AlertSettings
) -> Iterator[Problem]:
    """Yield a problem for each receiver of a request that the settings lack.

    A runner accepts such a request and runs it: a mistake about messages must stop no
    work. But nobody would hear of its alerts.
    """
    from runner.requests.building.alert_settings import unknown_receiver
    from runner.requests.catalog.resolved_settings import place_of
    from runner.requests.findings import path_text
    from runner.values import neutral

    for index, route in enumerate(request.notify or ()):
        if route.to not in alerts.receivers:
            path = ("notify", index, "to")
            message, suggestion = unknown_receiver(route.to, alerts.receivers)
            file, spot = place_of(
                path, request, folder, display=lambda file: neutral(str(folder / file))
            )
            yield Problem(
                file=file,
                line=spot.line,
                column=spot.column,
                path=path_text(path),
                message=message,
                suggestion=suggestion,
            )


def _warn_of_root(
    folder: Path, places: Places, reader: CatalogReader, is_meant: Callable[[str], bool]
) -> None:
    """Report on stderr the valid files that a runner of root would reject all the same.

    They are no problems: a pipeline that runs as root checks files of other users.
    """
    from runner.access.root_view import is_roots, rejected_by_root

    if is_roots(folder, places.given_state if folder == places.jobs else None):
        for line in rejected_by_root(folder, reader.read_besides, is_meant):
            echo(line, err=True)


def _problems_of(catalog: Catalog, is_meant: Callable[[str], bool]) -> Iterable[Problem]:
    """Return the problems of the selected files, and those elsewhere that make a
    selected file invalid.
    """
    found: dict[Problem, None] = {}
    for rejection in catalog.rejections:
        is_whole = is_meant(str(catalog.folder / rejection.file))
        found.update(
            dict.fromkeys(each for each in rejection.problems if is_whole or is_meant(each.file))
        )
    return found


def _folders(paths: tuple[Path, ...], places: Places) -> dict[Path, set[Path] | None]:
    """Return the folders to read and, per folder, the selected files; None selects all.

    Raises UsageError.
    """
    folders: dict[Path, set[Path] | None] = {}
    for path in paths:
        if is_missing(path):
            raise UsageError(f"there is no {path}; --jobs or PATH names the jobs folder")
        if path.is_dir():
            folders[path] = None
            continue
        if path.suffix not in (".yaml", ".yml"):
            raise UsageError(f"{path} is not a request file: its name must end in .yaml or .yml")
        meant = folders.setdefault(_jobs_folder_of(path, places.jobs), set())
        if meant is not None:
            meant.add(Path(real_path(path)))
    return folders


def _jobs_folder_of(file: Path, jobs: Path) -> Path:
    """Return the folder to read for a file: the jobs folder if it contains the file,
    which may refer to other requests there.
    """
    return jobs if Path(real_path(file)).is_relative_to(real_path(jobs)) else file.parent


def _is_meant(meant: set[Path] | None, file: str) -> bool:
    return meant is None or Path(real_path(file)) in meant


def _read(folder: Path, places: Places) -> tuple[CatalogReader, Catalog]:
    """Read a folder with the cache in the state folder, if there is one.

    The store is not asked whether the state folder belongs to this jobs folder, because
    files can be validated whatever the store looks like.
    """
    from runner.requests.catalog.cache_file import CacheFile
    from runner.requests.catalog.catalog_reader import CatalogReader

    is_cached = folder == places.jobs and places.has_state
    reader = CatalogReader(
        folder,
        default_zone=places.own_zone,
        cache=CacheFile(places.state) if is_cached else None,
        builds_late=True,
    )
    reader.recall()
    catalog = _read_visibly(reader, folder)
    reader.keep(is_sparing=True)
    return reader, catalog


def _read_visibly(reader: CatalogReader, folder: Path) -> Catalog:
    """Read a folder; show a progress bar if the folder is large and stderr is a terminal."""
    from runner.system.garbage_collection import collection_disabled

    count = sum(len(files) for _, _, files in os.walk(folder)) if sys.stderr.isatty() else 0
    if count < _LARGE:
        return reader.read()
    steps = reader.scan({})
    shown = click.progressbar(
        length=count, label="reading", file=sys.stderr, update_min_steps=count // 100
    )
    with collection_disabled(), shown as bar:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                catalog: Catalog = end.value
                return catalog
            bar.update(1)
