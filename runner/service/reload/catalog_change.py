"""What a new catalog changes: the difference, the states that follow, and the records
about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, starmap
from pathlib import Path

from runner.commands import Answer
from runner.monitor.event_facts import ChangedNames, RequestFacts
from runner.monitor.events import request_rejected
from runner.monitor.records import Record
from runner.planning.changeover import Changeover, Served, changeover
from runner.planning.last_good import DIFFERS, InForce, way_back
from runner.planning.likely_renames import likely_renames
from runner.requests.catalog.catalog import Catalog, Rejection
from runner.requests.model import RunImmediately
from runner.service.deciding.decision import Decision
from runner.service.registry import Registry
from runner.service.reload.reloader import Reading
from runner.values import counted, listed

_SHOWN = 5
_MOST_PROBLEMS = 20
"""How many problems the answer to a reload names; a row of the store must stay small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogChange:
    """A catalog on its way into force, and what to report about it.

    `fixed` counts the files that were rejected before and are good now. `likely_renames`
    are added names that look like a removed one, which is the value. `is_back` says that
    the folder's files are read again, after all requests were kept without them.
    """

    reading: Reading
    changeover: Changeover
    rejected: tuple[Rejection, ...]
    fixed: int
    likely_renames: Mapping[str, str]
    is_back: bool

    def is_news(self, registry: Registry) -> bool:
        """Whether there is anything to report, compared with what is in force."""
        is_lost = self.changeover.in_force.is_kept_whole and not registry.is_kept_whole
        return bool(
            self.changeover.difference or self.rejected or self.fixed or is_lost or self.is_back
        )

    @property
    def summary(self) -> str:
        """One line for people."""
        if (force := self.changeover.in_force).is_kept_whole:
            instead = (
                "take this folder instead: `runner reload`"
                if force.emptiness == DIFFERS
                else "remove the requests instead: `runner reload --allow-empty`"
            )
            return (
                f"the jobs folder {force.emptiness}; all requests are kept:"
                f" {way_back(force.emptiness)}, and the runner reads it by itself (to {instead})"
            )
        difference, renamed = self.changeover.difference, self.changeover.renamed
        continued = frozenset(renamed.values())
        changed = [f"{name} ({', '.join(fields)})" for name, fields in difference.changed]
        parts = [
            "the jobs folder is back" if self.is_back else "",
            _part("added", [name for name in difference.added if name not in renamed]),
            _part("renamed", [f"{former} → {name}" for name, former in renamed.items()]),
            _part("changed", changed),
            _part("removed", [name for name in difference.removed if name not in continued]),
            _part("rejected", [rejection.file for rejection in self.rejected]),
            f"{self.fixed} fixed" if self.fixed else "",
            *starmap(_rename_words, islice(self.likely_renames.items(), _SHOWN)),
        ]
        return "; ".join(filter(None, parts)) or "nothing changed"

    @property
    def answer(self) -> Answer:
        """The answer to the person who asked: done only if no file is rejected, now or before."""
        rejections = self.reading.catalog.rejections
        problems = list(dict.fromkeys(problem for each in rejections for problem in each.problems))
        data = {
            "problems": [asdict(each) for each in problems[:_MOST_PROBLEMS]],
            "problems_count": len(problems),
        }
        return Answer(is_done=not rejections, lines=(self.summary,), data=data)


def compare(reading: Reading, registry: Registry, *, allow_empty: bool = False) -> CatalogChange:
    """Compare a reading with what is in force."""
    catalog, known = reading.catalog, {each.file: each for each in registry.rejections}
    change = changeover(
        served_by(registry), catalog, allow_empty=allow_empty, among=reading.touched
    )
    return CatalogChange(
        reading=reading,
        changeover=change,
        rejected=tuple(each for each in catalog.rejections if known.get(each.file) != each),
        fixed=_fixed(registry.rejections, reading),
        likely_renames=likely_renames(change, registry.requests),
        is_back=registry.is_kept_whole and not change.in_force.is_kept_whole and catalog.files > 0,
    )


def decide(
    change: CatalogChange, decision: Decision, registry: Registry, *, is_first: bool = False
) -> None:
    """Give all requests the states that follow from a change.

    A start (`is_first`) looks at every request, a reload only at the touched ones.
    """
    new = change.changeover.in_force.requests
    names = [*new] if is_first else sorted(change.reading.touched & new.keys())
    record_rejections(change, decision)
    decide_some(change, decision, registry, [*names, *change.changeover.difference.removed])


def decide_some(
    change: CatalogChange, decision: Decision, registry: Registry, names: Iterable[str]
) -> None:
    """Give some of the new or removed requests their new states."""
    decision.requests = change.changeover.in_force.requests
    decision.git = change.reading.git_commit
    for name, registration in change.changeover.registrations(
        served_by(registry), names, decision.now
    ):
        decision.register(name, registration)


def served_by(registry: Registry) -> Served:
    """Return what a runner serves now."""
    return Served(requests=registry.requests, states=registry.states)


def record_rejections(change: CatalogChange, decision: Decision) -> None:
    """Record the files and documents that are rejected and were not rejected before.

    While the folder shows nothing, no file counts as valid again.
    """
    in_force, git = change.changeover.in_force, change.reading.git_commit
    for rejection in change.rejected:
        decision.record(_rejected(rejection, in_force, git))
    if not in_force.is_kept_whole:
        decision.alerts.note_rejections(_problems_by_name(change.reading.catalog, in_force))


def start_message(change: CatalogChange, *, is_new: bool) -> str | None:
    """Return the message of a `runner.started` record.

    `is_new` says that the store has never had a request.
    """
    if change.changeover.in_force.is_kept_whole:
        return change.summary
    return _first_runs(change) if is_new else None


def recorded_changes(change: CatalogChange) -> ChangedNames:
    """Return what a `runner.reloaded` record lists."""
    difference = change.changeover.difference
    return ChangedNames(
        added=difference.added,
        changed=[name for name, _ in difference.changed],
        removed=difference.removed,
        rejected=[rejection.file for rejection in change.reading.catalog.rejections],
    )


def _fixed(before: tuple[Rejection, ...], reading: Reading) -> int:
    """Count the files that were rejected, still exist and are good now."""
    rejected = {rejection.file for rejection in reading.catalog.rejections}
    fixed = [rejection for rejection in before if rejection.file not in rejected]
    # A file that was rejected as a whole has been read again. A document that was
    # rejected for its name may be good now because another file changed.
    names = (
        reading.touched.union(*(rejection.names for rejection in fixed)) if fixed else frozenset()
    )
    requests = reading.catalog.requests
    good = {requests[name].source.file for name in names if name in requests}
    return sum(rejection.file in good for rejection in fixed)


def _rejected(rejection: Rejection, force: InForce, git: str | None) -> Record:
    kept = sorted(name for name, by in force.kept.items() if by == rejection)
    facts = RequestFacts(
        request=next(iter(rejection.names)) if len(rejection.names) == 1 else None,
        request_file=rejection.file,
        git_commit=git,
        message=f"the last good version of {', '.join(kept)} stays active" if kept else None,
    )
    return request_rejected(facts, last_good=bool(kept), problems=rejection.problems)


def _problems_by_name(catalog: Catalog, force: InForce) -> dict[str, str]:
    """Return the first problem of each rejected request.

    A document whose name is unknown counts under the name of its file.
    """
    kept: dict[str, set[str]] = {}
    for name, by in force.kept.items():
        kept.setdefault(by.file, set()).add(name)
    found = {}
    for rejection in catalog.rejections:
        names = rejection.names | kept.get(rejection.file, set())
        for name in sorted(names) or [Path(rejection.file).stem]:
            problem = next(iter(rejection.problems_of(name)))
            place = f"{problem.file}:{problem.line}:{problem.column}"
            found[name] = f"its file is rejected: {place}: {problem.message}"
    return found


def _part(word: str, names: Sequence[str]) -> str:
    return f"{len(names)} {word}: {listed(names, _SHOWN)}" if names else ""


def _rename_words(name: str, former: str) -> str:
    """Return what a rename without `formerly` has lost, and how to get it back."""
    return (
        f"{name} looks like {former} but began with a new state: to keep its state and history,"
        f" rename it back, then again with `formerly: {former}`"
    )


def _first_runs(change: CatalogChange) -> str | None:
    """Return how many one-time requests run now because the store is new; None for none."""
    count = sum(
        isinstance(request.timing, RunImmediately) and request.scheduled
        for request in change.changeover.in_force.requests.values()
    )
    return (
        f"the store is new: {counted(count, 'run-immediately request')} will run now"
        if count
        else None
    )
