"""`plan`: what the jobs folder in its present state would change, compared with a git
ref, another folder, or what is in force.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import click

from runner.access.last_results import LastResults
from runner.access.loading import Loaded, load
from runner.access.past import durations
from runner.access.places import Places
from runner.access.root_view import is_roots, rejected_by_root
from runner.access.troubles import report_pauses
from runner.cli.access.selecting import candidate_of, words_for_none
from runner.cli.arguments.revisions import Repository
from runner.cli.arguments.selection import Selectable, Selection, select
from runner.cli.options import output_option_of, reading_options, selection_options
from runner.cli.output.plans import FORMS, Shown, report
from runner.cli.output.tables import echo
from runner.errors import UsageError
from runner.lifecycle import INVALID
from runner.planning.changeover import Served
from runner.planning.last_good import way_back
from runner.planning.retention import further_deleted
from runner.planning.states.state import retention_in
from runner.planning.views.plan import Plan, newly_served, plan
from runner.requests.building.relocation import relocated
from runner.requests.catalog.cached_requests import outlines_of
from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.catalog_reader import CatalogReader
from runner.requests.model import ProcessRequest
from runner.spelling import nearest_word
from runner.system.garbage_collection import collection_disabled
from runner.system.regular_files import is_folder

_DIFFERS = 3
_LIVE = "what is in force"


@click.command("plan")
@click.option(
    "--against",
    metavar="REF",
    help="Compare with a git ref, another jobs folder, or another clone of the repository.",
)
@click.option(
    "--live",
    "is_live",
    is_flag=True,
    help="Compare with what is in force according to the store (default).",
)
@selection_options
@output_option_of(FORMS, "Text for people, JSON lines, or Markdown for a pull request comment.")
@reading_options
def plan_command(
    against: str | None, is_live: bool, selection: Selection, output: str, places: Places
) -> None:
    """Show what the jobs folder would change: its requests, what would run at once, and
    the next fires.

    --against assumes that a runner has served REF until now, so that REF's one-time
    requests have already run. --live compares with the state of this state folder's
    runner.

    A selection means requests that meet it before or after the change. Problems of files
    whose requests are unknown are shown as well.

    A changed `retention` in runner.yaml deletes outputs at the next start, so it differs too.

    The exit code is 0 if nothing differs, 3 if something does, 1 if a file has
    problems.

    \b
    Examples:
      runner plan
      runner plan --label team=finance
      runner plan --against origin/main --output markdown > comment.md
    """
    if against is not None and is_live:
        raise UsageError("--against and --live exclude each other; give one of them")
    if against is not None and not against.strip():
        # An empty path means the current directory, but the caller wrote "$BASE".
        raise UsageError("--against is empty: give a git ref or a folder; is a variable not set?")
    with collection_disabled():
        planned, label = (
            _live(selection, places) if against is None else _against(against, selection, places)
        )
    for line in report(
        output, Shown(plan=planned, jobs=str(places.jobs), against=label, zone=places.zone)
    ):
        echo(line)
    if planned.is_kept_whole:
        echo(
            f"{places.jobs} {planned.emptiness}, so a runner keeps all requests: "
            f"{way_back(planned.emptiness)} "
            "(to remove the requests instead: `runner reload --allow-empty`)",
            err=True,
        )
    if planned.rejections or planned.is_kept_whole:
        raise SystemExit(1)
    raise SystemExit(_DIFFERS if planned.differs else 0)


def _live(selection: Selection, places: Places) -> tuple[Plan, str]:
    loaded = load(places)
    if not loaded.stored.requests:
        echo(f"no runner has served {places.jobs} yet: everything is new", err=True)
    report_pauses(places, loaded)
    planned = _with_deleted(
        plan(loaded.stored, loaded.catalog, loaded.now, durations(places)), loaded, places
    )
    return _selected(planned, loaded.stored, selection, loaded.results), _LIVE


def _with_deleted(planned: Plan, loaded: Loaded, places: Places) -> Plan:
    """Add which outputs a changed retention deletes: of requests, or of the settings."""
    default = places.settings.retention
    former_default = retention_in(loaded.snapshot.meta) or default
    former_names = {step.name: step.renamed_from for step in planned.steps}
    stored, changed = outlines_of(loaded.stored.requests), {}
    for name, request in outlines_of(planned.requests).items():
        old = stored.get(former_names.get(name) or name)
        if old is not None:
            before, after = old.retention.over(former_default), request.retention.over(default)
            if before != after:
                changed[name] = before, after
    deleted = {
        name: further_deleted(ended, *changed[name], now_s=loaded.now.timestamp())
        for name, ended in loaded.kept.of_each(changed)
    }
    return replace(planned, deleted={name: each for name, each in deleted.items() if each.outputs})


def _against(ref: str, selection: Selection, places: Places) -> tuple[Plan, str]:
    with _folder_of(ref, places) as former:
        catalog = former.reader.read()
        for note in _notes(catalog, former, places):
            echo(note, err=True)
        requests = _relocated(catalog, former.folder, places)
    now = datetime.now(UTC)
    here = CatalogReader(places.jobs, default_zone=places.zone)
    catalog = here.read({name: request.source.file for name, request in requests.items()})
    if is_roots(places.jobs, places.given_state):
        for line in rejected_by_root(places.jobs, here.read_besides):
            echo(line, err=True)
    if catalog.missing and not requests:
        raise UsageError(f"there is no jobs folder {places.jobs}; --jobs names another")
    old = newly_served(requests, now)
    return _selected(
        plan(old, catalog, now, {}), old, selection, LastResults(None, {})
    ), former.label


def _selected(planned: Plan, old: Served, selection: Selection, results: LastResults) -> Plan:
    """Return the part of a plan that concerns the selected requests."""
    if selection.is_empty:
        return planned
    candidates = list(_candidates(planned, old, results))
    names = frozenset(select(candidates, selection))
    if not names:
        echo(words_for_none(selection), err=True)
    return planned.among(names)


def _candidates(planned: Plan, old: Served, results: LastResults) -> Iterator[Selectable]:
    """Yield each request as it is before the change, and as it is afterwards."""
    former = {step.name: step.renamed_from for step in planned.steps}
    new_states = {step.name: step.state for step in planned.steps}
    for name in sorted({*planned.requests, *old.requests}):
        known_as = former.get(name) or name
        state = old.states.get(known_as) or new_states.get(name)
        status = INVALID if name in planned.kept or state is None else str(state.status)
        for request in (old.requests.get(known_as), planned.requests.get(name)):
            if request is not None:
                yield candidate_of(name, request, results, status=status)
    for name in {name for by in planned.rejections for name in by.names} - set(planned.requests):
        yield candidate_of(name, None, results, status=INVALID)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Former:
    """The folder to compare with, its label for people, and its submodules, whose files
    are unavailable.
    """

    reader: CatalogReader
    folder: Path
    label: str
    submodules: tuple[str, ...] = ()


@contextmanager
def _folder_of(ref: str, places: Places) -> Iterator[_Former]:
    """Yield the folder that a ref or a path means; it exists only inside the `with`
    block.

    Raises UsageError if there is no such ref or folder.
    """
    repository = Repository.around(places.jobs)
    commit = repository.commit(ref) if repository else None
    if repository and commit:
        with TemporaryDirectory(prefix="runner-plan-") as place:
            yield _extracted(repository, commit, Path(place), f"{ref} ({commit[:12]})", places)
    elif is_folder(ref):
        folder = _jobs_in(Path(ref), repository, places)
        yield _Former(
            reader=CatalogReader(folder, default_zone=places.zone), folder=folder, label=str(folder)
        )
    else:
        raise UsageError(_unknown(ref, repository, places))


def _jobs_in(folder: Path, repository: Repository | None, places: Places) -> Path:
    """Return the jobs folder inside a clone, if the folder is a clone; else the folder itself."""
    inside = folder / (repository.prefix if repository else places.jobs.name)
    return inside if is_folder(inside) else folder


def _extracted(
    repository: Repository, commit: str, place: Path, label: str, places: Places
) -> _Former:
    """Extract the jobs folder of a commit, and the files outside of it that its requests name."""
    # Two passes: only a first read of the catalog shows which files outside of the folder
    # its requests name. Extracting the whole tree instead could take gigabytes.
    folder = Path(place, repository.prefix)
    submodules = repository.extract(commit, place, [repository.prefix])
    reader = CatalogReader(folder, default_zone=places.zone)
    reader.read()
    besides = (Path(os.path.normpath(path)) for path in reader.read_besides)
    wanted = {
        PurePosixPath(path.relative_to(place)) for path in besides if path.is_relative_to(place)
    }
    repository.extract(
        commit, place, [path for path in wanted if not path.is_relative_to(repository.prefix)]
    )
    return _Former(reader=reader, folder=folder, label=label, submodules=submodules)


def _relocated(catalog: Catalog, folder: Path, places: Places) -> dict[str, ProcessRequest]:
    """Return the requests of another folder as they would read in the jobs folder."""
    source, target = str(folder.absolute()), str(places.jobs.absolute())
    return {
        name: relocated(request, source, target, default_zone=places.zone)
        for name, request in catalog.requests.items()
    }


def _notes(catalog: Catalog, former: _Former, places: Places) -> Iterator[str]:
    """Yield what limits the comparison."""
    if catalog.missing:
        yield f"{former.label} has no {places.jobs}: everything is new"
    for rejection in catalog.rejections:
        reason = rejection.problems[0].message
        yield f"{former.label}: {rejection.file} counts as absent, because it is rejected: {reason}"
    for submodule in former.submodules:
        yield (
            f"{former.label}: {submodule} counts as absent, because it is a submodule: "
            "its files are in another repository"
        )


def _unknown(ref: str, repository: Repository | None, places: Places) -> str:
    if repository is None:
        return (
            f"{ref!r} is not a folder, and it cannot be a git ref, "
            f"because {places.jobs} is outside of any git repository"
        )
    near = nearest_word(ref, repository.refs())
    hint = f"; did you mean {near!r}?" if near else ""
    return f"the git repository of {places.jobs} has no {ref!r}, and there is no such folder{hint}"
