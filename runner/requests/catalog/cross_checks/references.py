"""Errors that exist only between documents: duplicate names and broken references. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import Problem
from runner.requests.building.mentions import FORMERLY, ON_FAILURE, ON_SUCCESS
from runner.requests.catalog.cross_checks.cycles import cycles_in, path_between
from runner.requests.catalog.cross_checks.groups import GroupChecks
from runner.requests.findings import Spot, nearest, path_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from runner.requests.building.mentions import Mention
    from runner.requests.catalog.request_file import Candidate
    from runner.requests.findings import DataPath

    Refused = list[tuple[Candidate, Problem]]
    Wrong = tuple[str, str | None]

_REFERENCE = ("process", "request")
_LARGEST_SHOWN = 10
_MOST_SUGGESTIONS = 10


def with_unique_names(
    candidates: Iterable[Candidate],
    incumbents: Mapping[str, str],
    is_kept: Callable[[str, str], bool],
) -> tuple[dict[str, Candidate], Refused]:
    """Give each name to one candidate: the incumbent, else the first by file and line.

    `is_kept(name, file)` reports whether `file` is rejected but its former request
    `name` stays in force. Such a name is taken: every new candidate for it is refused.
    """
    rivals: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        rivals.setdefault(candidate.name, []).append(candidate)
    chosen: dict[str, Candidate] = {}
    refused: Refused = []
    for name, claimants in rivals.items():
        holder = incumbents.get(name)
        own = [claimant for claimant in claimants if claimant.file == holder]
        if holder is not None and not own and is_kept(name, holder):
            refused.extend(
                (claimant, _taken(claimant, f"{holder}, whose last good version stays in force"))
                for claimant in claimants
            )
            continue
        chosen[name] = winner = (own or claimants)[0]
        place = f"{winner.display}:{winner.name_spot.line}"
        refused.extend(
            (claimant, _taken(claimant, place)) for claimant in claimants if claimant is not winner
        )
    return chosen, refused


def broken_references(
    chosen: Mapping[str, Candidate],
    tolerated: frozenset[str],
    incumbents: Mapping[str, str],
    *,
    mentioning: list[Candidate] | None = None,
) -> Iterator[tuple[Candidate, Problem]]:
    """Yield each problem with the names that requests mention.

    One request may have several problems. `tolerated` are the names of rejected
    documents: they exist but have no valid version. `incumbents` maps each name in
    force to its file. `mentioning` are the candidates that mention others, by file and
    line, if the caller knows them.
    """
    if mentioning is None:
        mentioning = [candidate for candidate in chosen.values() if candidate.mentions]
    if mentioning:
        yield from _Mentioned(mentioning, chosen, tolerated, incumbents).problems()


class _Mentioned:
    """All requests that mention another request, checked together."""

    def __init__(
        self,
        mentioning: list[Candidate],
        chosen: Mapping[str, Candidate],
        tolerated: frozenset[str],
        incumbents: Mapping[str, str],
    ) -> None:
        self._mentioning = mentioning
        self._chosen = chosen
        self._tolerated = tolerated
        self._successors = _successors(mentioning, incumbents)
        self._running = _Cycles(mentioning, lambda mention: mention.is_run)
        self._following = _Cycles(mentioning, lambda mention: mention.is_follow_up)
        self._groups = GroupChecks(chosen)
        self._suggestions_left = _MOST_SUGGESTIONS

    def problems(self) -> Iterator[tuple[Candidate, Problem]]:
        """Yield each candidate with each of its problems."""
        for candidate in self._mentioning:
            is_around = candidate.name in self._running.by_name
            members = {} if is_around else self._groups.wrong(candidate)
            cycles = dict(self._cycles_of(candidate))
            for mention in candidate.mentions:
                wrong = (
                    self._wrong(candidate, mention)
                    or cycles.get(mention.path)
                    or members.get(mention.path)
                )
                if wrong is not None:
                    message, suggestion = wrong
                    path = path_text(mention.path)
                    file = candidate.display_of(mention)
                    yield candidate, _problem(file, mention.spot, path, message, suggestion)

    def _cycles_of(self, candidate: Candidate) -> Iterator[tuple[DataPath, Wrong]]:
        """Yield the mentions that close a cycle, at most one of each kind: one path is enough."""
        name = candidate.name
        for cycles in (self._running, self._following):
            for mention in candidate.mentions:
                if mention.name != name and (way := cycles.way(name, mention)):
                    yield mention.path, _closed(mention, " → ".join(way))
                    break

    def _wrong(self, candidate: Candidate, mention: Mention) -> Wrong | None:
        if mention.path == FORMERLY:
            return self._wrong_successor(candidate, mention.name)
        if mention.name not in self._chosen and mention.name not in self._tolerated:
            return f"no request is named `{mention.name}`", self._meant(mention.name)
        if mention.name == candidate.name:
            return _own_name(mention)
        return None

    def _wrong_successor(self, candidate: Candidate, former: str) -> Wrong | None:
        own = candidate.name
        if former == own:
            return f"`{own}` is the request's name now, not a former one", "leave `formerly` out"
        if former in self._chosen:
            claimant = self._chosen[former]
            place = f"{claimant.display}:{claimant.name_spot.line}"
            return (
                f"`{former}` is not a former name: {place} still uses it",
                "remove that request, or `formerly` here",
            )
        if former in self._tolerated:
            return (
                f"`{former}` is not a former name: a request that is invalid for now still uses it",
                None,
            )
        successor = self._successors[former]
        if successor is not candidate:
            place = f"{successor.display}:{successor.name_spot.line}"
            return (
                f"`{former}` was already renamed, in {place}",
                "only one can keep its state",
            )
        return None

    def _meant(self, name: str) -> str | None:
        if name in self._successors:
            return f"it is named `{self._successors[name].name}` now"
        # Each search compares with every name, so only the first few get one.
        self._suggestions_left -= 1
        return (
            nearest(name, self._chosen.keys() | self._tolerated)
            if self._suggestions_left >= 0
            else None
        )


class _Cycles:
    """The cycles among requests by one kind of mention."""

    def __init__(self, mentioning: Iterable[Candidate], is_kind: Callable[[Mention], bool]) -> None:
        self._is_kind = is_kind
        self._targets = {
            each.name: [mention.name for mention in each.mentions if is_kind(mention)]
            for each in mentioning
        }
        self.by_name = {name: cycle for cycle in cycles_in(self._targets) for name in cycle}

    def way(self, name: str, mention: Mention) -> list[str]:
        """Return the cycle that a mention closes, from `name` back to it; empty without one."""
        around = self.by_name.get(name, frozenset())
        if mention.name not in around or not self._is_kind(mention):
            return []
        if len(around) >= _LARGEST_SHOWN:
            return [name, "…", name]
        return [name, *path_between(mention.name, name, self._targets, around)]


def _closed(mention: Mention, way: str) -> Wrong:
    """Return what is wrong with a mention that closes a cycle."""
    if mention.is_follow_up:
        return (
            f"these requests would run after one another without end: {way}",
            "remove one `on_success` or `on_failure` of this cycle",
        )
    is_member = mention.path != _REFERENCE
    suggestion = "remove one of these members" if is_member else "one of them must say what it runs"
    return f"these requests refer to each other in a cycle: {way}", suggestion


def _successors(
    mentioning: Iterable[Candidate], incumbents: Mapping[str, str]
) -> Mapping[str, Candidate]:
    """Map each former name to the candidate that inherits its state.

    The successor is the first by file and line, unless only a later one is already in
    force.
    """
    successors: dict[str, Candidate] = {}
    for candidate in mentioning:
        request = candidate.request
        if request.formerly is None:
            continue
        first = successors.setdefault(request.formerly, candidate)
        if first.name not in incumbents and request.name in incumbents:
            successors[request.formerly] = candidate
    return successors


def _own_name(mention: Mention) -> Wrong:
    if mention.path == ON_FAILURE:
        return (
            f"`{mention.name}` would run after its own failure",
            "name another request; `retry` runs it again",
        )
    if mention.path == ON_SUCCESS:
        return f"`{mention.name}` would run after its own success", "name another request"
    if mention.path == _REFERENCE:
        return f"`{mention.name}` refers to itself", "say what it runs: a command or a shell line"
    return f"the group `{mention.name}` contains itself", "take it out of the members"


def _taken(candidate: Candidate, place: str) -> Problem:
    message = f"the name `{candidate.name}` is taken by {place}"
    return _problem(
        candidate.display, candidate.name_spot, "name", message, "give one of them another `name`"
    )


def _problem(file: str, spot: Spot, path: str, message: str, suggestion: str | None) -> Problem:
    return Problem(
        file=file,
        line=spot.line,
        column=spot.column,
        path=path,
        message=message,
        suggestion=suggestion,
    )
