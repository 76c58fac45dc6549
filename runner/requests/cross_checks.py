"""What can only be wrong between documents: names that two of them bear, references that lead nowhere. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import Problem
from runner.requests.findings import Spot, nearest
from runner.requests.model import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from runner.requests.loading import Candidate

Refused = list[tuple["Candidate", Problem]]


def with_unique_names(
    candidates: Iterable[Candidate], incumbents: Mapping[str, str], is_kept: Callable[[str, str], bool]
) -> tuple[dict[str, Candidate], Refused]:
    """Give each name to one candidate: the incumbent, else the first by file and line.

    `is_kept(name, file)` tells whether `file` is rejected in a way that leaves its former request `name` in force:
    then the name is taken, and nobody new gets it.
    """
    rivals: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        rivals.setdefault(candidate.request.name, []).append(candidate)
    chosen: dict[str, Candidate] = {}
    refused: Refused = []
    for name, bearers in rivals.items():
        holder = incumbents.get(name)
        own = [bearer for bearer in bearers if bearer.request.source.file == holder]
        if holder is not None and not own and is_kept(name, holder):
            refused.extend((bearer, _taken(bearer, f"{holder}, whose last good version goes on")) for bearer in bearers)
            continue
        chosen[name] = winner = (own or bearers)[0]
        place = f"{winner.display}:{winner.name_spot.line}"
        refused.extend((bearer, _taken(bearer, place)) for bearer in bearers if bearer is not winner)
    return chosen, refused


def broken_references(
    chosen: Mapping[str, Candidate], tolerated: frozenset[str]
) -> Iterator[tuple[Candidate, Problem]]:
    """Yield the requests whose process is that of a request which does not exist, or leads back to themselves.

    `tolerated` are names that rejected documents bear: they exist, though not for now.
    """
    actions = {name: candidate.request.process.action for name, candidate in chosen.items()}
    targets = {name: action.request for name, action in actions.items() if isinstance(action, Reference)}
    circles = {name: circle for circle in _circles(targets) for name in circle}
    for name, target in targets.items():
        candidate = chosen[name]
        if target == name:
            message = f"`{name}` refers to itself"
            yield candidate, _reference_problem(candidate, message, "say what it runs: a command or a shell line")
        elif name in circles:
            message = f"these requests refer to each other in a circle: {_way_round(name, circles[name])}"
            yield candidate, _reference_problem(candidate, message, "one of them must say what it runs")
        elif target not in chosen and target not in tolerated:
            message = f"no request is named `{target}`"
            yield candidate, _reference_problem(candidate, message, nearest(target, chosen.keys() | tolerated))


def _circles(targets: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the circles among references, each once; every name is walked through once."""
    walked_from: dict[str, str] = {}
    for start in targets:
        name, way = start, []
        while name in targets and name not in walked_from:
            walked_from[name] = start
            way.append(name)
            name = targets[name]
        if walked_from.get(name) == start:
            yield way[way.index(name) :]


def _way_round(name: str, circle: list[str]) -> str:
    at = circle.index(name) if len(circle) < 10 else 0
    way = [*circle[at:], *circle[:at], name] if len(circle) < 10 else [name, "…", name]
    return " → ".join(way)


def _taken(candidate: Candidate, place: str) -> Problem:
    message = f"the name `{candidate.request.name}` is taken by {place}"
    return _problem(candidate, candidate.name_spot, "name", message, "give one of them another `name`")


def _reference_problem(candidate: Candidate, message: str, suggestion: str | None) -> Problem:
    return _problem(candidate, candidate.reference_spot, "process.request", message, suggestion)


def _problem(candidate: Candidate, spot: Spot, path: str, message: str, suggestion: str | None) -> Problem:
    return Problem(
        file=candidate.display, line=spot.line, column=spot.column, path=path, message=message, suggestion=suggestion
    )
