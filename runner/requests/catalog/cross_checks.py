"""What can only be wrong between documents: names that two of them bear, references
that lead nowhere. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import Problem
from runner.requests.building.mentions import FORMERLY, ON_FAILURE
from runner.requests.catalog.cycles import circles, way_between
from runner.requests.catalog.group_checks import GroupChecks
from runner.requests.findings import Spot, nearest, path_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from runner.requests.building.mentions import Mention
    from runner.requests.catalog.loading import Candidate

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

    `is_kept(name, file)` tells whether `file` is rejected in a way that leaves its
    former request `name` in force: then the name is taken, and nobody new gets it.
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
            refused.extend(
                (bearer, _taken(bearer, f"{holder}, whose last good version goes on"))
                for bearer in bearers
            )
            continue
        chosen[name] = winner = (own or bearers)[0]
        place = f"{winner.display}:{winner.name_spot.line}"
        refused.extend(
            (bearer, _taken(bearer, place)) for bearer in bearers if bearer is not winner
        )
    return chosen, refused


def broken_references(
    chosen: Mapping[str, Candidate], tolerated: frozenset[str], incumbents: Mapping[str, str]
) -> Iterator[tuple[Candidate, Problem]]:
    """Yield what is wrong with the names that requests mention, several times for a
    request if so much is wrong.

    `tolerated` are names that rejected documents bear: they exist, though not for now.
    `incumbents` as above.
    """
    mentioning = [candidate for candidate in chosen.values() if candidate.mentions]
    if mentioning:
        yield from _Mentioned(mentioning, chosen, tolerated, incumbents).problems()


class _Mentioned:
    """All requests that mention another, looked at together."""

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
        self._heirs = _heirs(mentioning, incumbents)
        self._runs = {
            each.request.name: [mention.name for mention in each.mentions if mention.is_run]
            for each in mentioning
        }
        self._circles = {name: circle for circle in circles(self._runs) for name in circle}
        self._groups = GroupChecks(chosen)
        self._suggestions_left = _MOST_SUGGESTIONS

    def problems(self) -> Iterator[tuple[Candidate, Problem]]:
        for candidate in self._mentioning:
            around = self._circles.get(candidate.request.name, frozenset())
            members = {} if around else self._groups.wrong(candidate)
            for mention in candidate.mentions:
                told = self._wrong(candidate, mention, around) or members.get(mention.path)
                if told is not None:
                    message, suggestion = told
                    path = path_text(mention.path)
                    file = candidate.display_of(mention)
                    yield candidate, _problem(file, mention.spot, path, message, suggestion)
                if mention.name in around and mention.is_run:
                    around = frozenset()  # one way back is enough said

    def _wrong(
        self, candidate: Candidate, mention: Mention, around: frozenset[str]
    ) -> Wrong | None:
        if mention.path == FORMERLY:
            return self._wrong_heir(candidate, mention.name)
        if mention.name not in self._chosen and mention.name not in self._tolerated:
            return f"no request is named `{mention.name}`", self._meant(mention.name)
        if mention.name == candidate.request.name:
            return _own_name(mention)
        if mention.is_run and mention.name in around:
            return self._circle(candidate.request.name, mention, around)
        return None

    def _wrong_heir(self, candidate: Candidate, former: str) -> Wrong | None:
        own = candidate.request.name
        if former == own:
            return f"`{own}` is its name now, not a former one", "leave `formerly` out"
        if former in self._chosen:
            bearer = self._chosen[former]
            place = f"{bearer.display}:{bearer.name_spot.line}"
            return (
                f"`{former}` is not a former name: {place} still bears it",
                "remove that request, or `formerly` here",
            )
        if former in self._tolerated:
            return (
                f"`{former}` is not a former name: a request that is invalid for now still bears it",
                None,
            )
        heir = self._heirs[former]
        if heir is not candidate:
            place = f"{heir.display}:{heir.name_spot.line}"
            return (
                f"`{former}` became another request already, in {place}",
                "only one can keep its state",
            )
        return None

    def _meant(self, name: str) -> str | None:
        if name in self._heirs:
            return f"it is named `{self._heirs[name].request.name}` now"
        self._suggestions_left -= 1  # to look for each costs as much as there are names
        return (
            nearest(name, self._chosen.keys() | self._tolerated)
            if self._suggestions_left >= 0
            else None
        )

    def _circle(self, name: str, mention: Mention, around: frozenset[str]) -> Wrong:
        if len(around) < _LARGEST_SHOWN:
            way = [name, *way_between(mention.name, name, self._runs, around)]
        else:
            way = [name, "…", name]
        is_member = mention.path != _REFERENCE
        suggestion = (
            "one of these members must go" if is_member else "one of them must say what it runs"
        )
        return f"these requests refer to each other in a circle: {' → '.join(way)}", suggestion


def _heirs(
    mentioning: Iterable[Candidate], incumbents: Mapping[str, str]
) -> Mapping[str, Candidate]:
    """Return by former name who bears the state of it: one that was there before, else
    the first by file and line.
    """
    heirs: dict[str, Candidate] = {}
    for candidate in mentioning:
        request = candidate.request
        if request.formerly is None:
            continue
        first = heirs.setdefault(request.formerly, candidate)
        if first.request.name not in incumbents and request.name in incumbents:
            heirs[request.formerly] = candidate
    return heirs


def _own_name(mention: Mention) -> Wrong:
    if mention.path == ON_FAILURE:
        return (
            f"`{mention.name}` would run after its own failure",
            "name another request; `retry` runs it again",
        )
    if mention.path == _REFERENCE:
        return f"`{mention.name}` refers to itself", "say what it runs: a command or a shell line"
    return f"the group `{mention.name}` contains itself", "take it out of the members"


def _taken(candidate: Candidate, place: str) -> Problem:
    message = f"the name `{candidate.request.name}` is taken by {place}"
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
