"""Which requests run which: as members, as a process, by `on_success` or `on_failure`. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.requests.building.mentions import FORMERLY, ON_FAILURE, ON_SUCCESS, mentioned
from runner.requests.model import ProcessRequest

_HOW = {
    ON_SUCCESS: "on_success",
    ON_FAILURE: "on_failure",
    ("process", "request"): "its process",
}
_MEMBER = "member"
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A request that runs another one's process, and how, in words."""

    runner: str
    how: str
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """The chains through a request: how many there are, and the first few in words."""

    count: int = 0
    shown: tuple[str, ...] = ()


NO_CHAINS = Touched()


class Chains:
    """The links among requests, from both ends."""

    def __init__(self, requests: Mapping[str, ProcessRequest]) -> None:
        self._after: dict[str, list[Link]] = defaultdict(list)
        self._before: dict[str, list[Link]] = defaultdict(list)
        for name, request in requests.items():
            for path, target in mentioned(request):
                if path != FORMERLY:
                    link = Link(runner=name, how=_HOW.get(path, _MEMBER), run=target)
                    self._after[name].append(link)
                    self._before[target].append(link)

    def running(self, name: str) -> list[str]:
        """Return in words which requests run this one."""
        return [f"{link.runner} ({link.how})" for link in self._before.get(name, ())]

    def through(self, name: str) -> Touched:
        """Return the chains through a request, each from its first request to its last.

        Of several ways between two requests, only a shortest one counts.
        """
        if name not in self._after and name not in self._before:
            return NO_CHAINS
        beginnings = [tuple(reversed(way)) for way in _ways(name, self._before, forward=False)]
        endings = _ways(name, self._after, forward=True)
        shown = [
            _words(name, (*beginning, *ending))
            for beginning in beginnings[:_MOST_SHOWN]
            for ending in endings[:_MOST_SHOWN]
        ]
        return Touched(count=len(beginnings) * len(endings), shown=tuple(shown[:_MOST_SHOWN]))


def _ways(
    start: str, links: Mapping[str, Sequence[Link]], *, forward: bool
) -> list[tuple[Link, ...]]:
    """Return a shortest way from a request to each end that it leads to.

    Without a link it is an end itself, and the way is empty. Breadth first: `ways` grows
    while the loop walks it. A request on a cycle may lead to no end.
    """
    ways: list[tuple[str, tuple[Link, ...]]] = [(start, ())]
    seen, ends = {start}, []
    for name, way in ways:
        further = links.get(name, ())
        if not further:
            ends.append(way)
        for link in further:
            target = link.run if forward else link.runner
            if target not in seen:
                seen.add(target)
                ways.append((target, (*way, link)))
    return ends


def _words(name: str, links: Sequence[Link]) -> str:
    first = links[0].runner if links else name
    return " → ".join([first, *(f"{link.run} ({link.how})" for link in links)])
