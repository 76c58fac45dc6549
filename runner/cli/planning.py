"""`plan`: what the jobs folder as it lies there would change against a git ref, another folder, or what is in force."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import click

from runner.cli.loading import load
from runner.cli.options import Places, place_options
from runner.cli.past import durations
from runner.cli.plans import FORMS, Shown, report
from runner.cli.printing import echo
from runner.cli.revisions import Repository
from runner.errors import UsageError
from runner.planning.plan import Plan, plan, served
from runner.requests.catalog import Catalog, CatalogReader
from runner.requests.heap import unswept
from runner.requests.model import ProcessRequest
from runner.requests.relocation import relocated

_DIFFERS = 3
_LIVE = "what is in force"


@click.command("plan")
@click.option("--against", metavar="REF", help="Compare with a git ref, or with another folder.")
@click.option("--live", "is_live", is_flag=True, help="Compare with what is in force, by the store; the default.")
@click.option(
    "--output",
    "-o",
    type=click.Choice(FORMS),
    default="text",
    show_default=True,
    help="For a person; JSON lines; or for the comment of a pull request.",
)
@place_options
def plan_command(against: str | None, is_live: bool, output: str, places: Places) -> None:
    """Tell what the jobs folder, as it lies there, would change: requests, what would run at once, next fires.

    With --against a runner is imagined that has served REF until now: what runs at once there has run. With --live it
    is the one whose state folder this is, with all that it remembers.

    The exit code is 0 if nothing differs, 3 if something does, 1 if a file has problems.

    \b
    Examples:
      runner plan
      runner plan --against origin/main
      runner plan --against origin/main --output markdown > comment.md
    """
    if against is not None and is_live:
        raise UsageError("--against and --live ask for different things; give one of them")
    with unswept():
        planned, label = _live(places) if against is None else _against(against, places)
    for line in report(output, Shown(plan=planned, jobs=str(places.jobs), against=label, zone=places.zone)):
        echo(line)
    if planned.is_kept_whole:
        click.echo(
            f"{places.jobs} is empty or gone: a runner keeps all requests (`runner reload --allow-empty`)", err=True
        )
    if planned.rejections or planned.is_kept_whole:
        raise SystemExit(1)
    raise SystemExit(_DIFFERS if planned.differs else 0)


def _live(places: Places) -> tuple[Plan, str]:
    loaded = load(places)
    if not loaded.stored.requests:
        click.echo(f"no runner has served {places.jobs} yet: all of it is new", err=True)
    return plan(loaded.stored, loaded.catalog, loaded.now, durations(places.monitor_log)), _LIVE


def _against(ref: str, places: Places) -> tuple[Plan, str]:
    with _folder_of(ref, places) as (reader, folder, label):
        former = reader.read()
        for note in _notes(former, label, places):
            click.echo(note, err=True)
        requests = _relocated(former, folder, places)
    now = datetime.now(UTC)
    here = CatalogReader(places.jobs, default_zone=places.zone)
    catalog = here.read({name: request.source.file for name, request in requests.items()})
    if catalog.missing and not requests:
        raise UsageError(f"there is no jobs folder {places.jobs}; --jobs names another")
    return plan(served(requests, now), catalog, now, {}), label


@contextmanager
def _folder_of(ref: str, places: Places) -> Iterator[tuple[CatalogReader, Path, str]]:
    """Yield a reader of the folder that is meant, the folder, and its name for people. Raises UsageError."""
    repository = Repository.around(places.jobs)
    commit = repository.commit(ref) if repository else None
    if repository and commit:
        with TemporaryDirectory(prefix="runner-plan-") as place:
            folder = Path(place, repository.prefix)
            yield _extracted(repository, commit, Path(place), folder, places), folder, f"{ref} ({commit[:12]})"
    elif Path(ref).is_dir():
        yield CatalogReader(Path(ref), default_zone=places.zone), Path(ref), ref
    else:
        raise UsageError(_unknown(ref, repository, places))


def _extracted(repository: Repository, commit: str, place: Path, folder: Path, places: Places) -> CatalogReader:
    """Lay out what a commit has of the jobs folder, and of what lies elsewhere and is read for its sake."""
    repository.extract(commit, place, [repository.prefix])
    reader = CatalogReader(folder, default_zone=places.zone)
    reader.read()
    besides = (Path(os.path.normpath(path)) for path in reader.read_besides)
    wanted = {PurePosixPath(path.relative_to(place)) for path in besides if path.is_relative_to(place)}
    repository.extract(commit, place, [path for path in wanted if not path.is_relative_to(repository.prefix)])
    return reader


def _relocated(catalog: Catalog, folder: Path, places: Places) -> dict[str, ProcessRequest]:
    """Return the requests of another folder as they would be in the jobs folder."""
    source, target = str(folder.absolute()), str(places.jobs.absolute())
    return {
        name: relocated(request, source, target, default_zone=places.zone) for name, request in catalog.requests.items()
    }


def _notes(former: Catalog, label: str, places: Places) -> Iterator[str]:
    if former.missing:
        yield f"{label} has no {places.jobs}: all of it is new"
    for rejection in former.rejections:
        yield f"{label}: {rejection.file} is rejected there too: {rejection.problems[0].message}"


def _unknown(ref: str, repository: Repository | None, places: Places) -> str:
    if repository is None:
        return f"{ref!r} is no folder, and {places.jobs} lies in no git repository, which could have a ref of that name"
    import difflib

    near = difflib.get_close_matches(ref, repository.refs(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"the git repository of {places.jobs} has no {ref!r}, nor is it a folder{hint}"
