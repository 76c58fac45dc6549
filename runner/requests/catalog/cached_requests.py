"""Requests of the cache, built when they are needed whole. Pure.

A list of requests needs little of each: its name, its timing and a few words. To build
10,000 requests takes longer than to read their cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from runner.requests.building.request import timing_in
from runner.requests.building.stored import request_from_definition
from runner.requests.model import Outline, ProcessRequest, Source, Timing
from runner.requests.policies import NO_RETENTION, Retention

TimingText = tuple[str, str]
"""A timing as JSON, and the dates of the files that it names."""
Facts = dict[str, Any]
"""The words of an outline that differ from the defaults."""


class Timings:
    """The timings of a cache. Many requests share one, and each is built once."""

    def __init__(self, texts: Sequence[TimingText], zone: str) -> None:
        self._texts = texts
        self._zone = zone
        self._built: dict[int, Timing] = {}

    def __getitem__(self, index: int) -> Timing:
        if index not in self._built:
            text, dates = self._texts[index]
            self._built[index] = timing_in(text, self._zone, dates)
        return self._built[index]

    def text(self, index: int) -> TimingText:
        """Return the texts from which a timing is built."""
        return self._texts[index]


class CachedRequest:
    """A request of the cache: what an `Outline` has at once, and the whole on demand.

    `definition` was valid, and could be built in `zone` with the zone data in use.
    """

    __slots__ = ("_facts", "_timing", "_timings", "_whole", "_zone", "definition", "file", "name")

    def __init__(
        self,
        name: str,
        file: str,
        definition: str,
        *,
        facts: Facts,
        timing: int | None,
        timings: Timings,
        zone: str,
    ) -> None:
        self.name = name
        self.file = file
        self.definition = definition
        self._facts = facts
        self._timing = timing
        self._timings = timings
        self._zone = zone
        self._whole: ProcessRequest | None = None

    @property
    def timing(self) -> Timing | None:
        return None if self._timing is None else self._timings[self._timing]

    @property
    def scheduled(self) -> bool:
        return bool(self._facts.get("scheduled", True))

    @property
    def reschedule(self) -> str | None:
        return self._facts.get("reschedule")

    @property
    def formerly(self) -> str | None:
        return self._facts.get("formerly")

    @property
    def owner(self) -> str | None:
        return self._facts.get("owner")

    @property
    def labels(self) -> Mapping[str, str]:
        return self._facts.get("labels") or {}

    @property
    def receivers(self) -> tuple[str, ...]:
        return tuple(self._facts.get("receivers", ()))

    @property
    def retention(self) -> Retention:
        return self.whole().retention if "retention" in self._facts else NO_RETENTION

    @property
    def source(self) -> Source:
        return self.whole().source

    def whole(self) -> ProcessRequest:
        """Build the request, once. Raises RunnerError if the cache was tampered with."""
        if self._whole is None:
            self._whole = request_from_definition(
                self.definition, default_zone=self._zone, accepted=(self.definition,)
            )
        return self._whole

    def noted(self) -> tuple[TimingText | None, Facts]:
        """Return its timing and its facts, as the cache keeps them."""
        return None if self._timing is None else self._timings.text(self._timing), self._facts


Supply = ProcessRequest | CachedRequest
"""A request, or what it can be built from."""


def whole(supply: Supply) -> ProcessRequest:
    """Return the request itself."""
    return supply if isinstance(supply, ProcessRequest) else supply.whole()


class SuppliedRequests(Mapping[str, ProcessRequest]):
    """Requests by name. `supplies` are the same, perhaps not built yet."""

    def __init__(self, supplies: Mapping[str, Supply]) -> None:
        self.supplies = supplies

    def __getitem__(self, name: str) -> ProcessRequest:
        return whole(self.supplies[name])

    def __contains__(self, name: object) -> bool:
        return name in self.supplies

    def __iter__(self) -> Iterator[str]:
        return iter(self.supplies)

    def __len__(self) -> int:
        return len(self.supplies)


Recalled = Mapping[str, CachedRequest | None]
"""The definitions that were found valid; the requests only if they can be built late."""


def by_name(requests: Mapping[str, ProcessRequest]) -> Mapping[str, ProcessRequest]:
    """Return requests in the order of their names."""
    if isinstance(requests, SuppliedRequests):
        return SuppliedRequests(dict(sorted(requests.supplies.items(), key=itemgetter(0))))
    return dict(sorted(requests.items(), key=itemgetter(0)))


def outlines_of(requests: Mapping[str, ProcessRequest]) -> Mapping[str, Outline]:
    """Return the outlines of requests, without building any."""
    return requests.supplies if isinstance(requests, SuppliedRequests) else requests


def differing(
    old: Mapping[str, ProcessRequest], new: Mapping[str, ProcessRequest]
) -> frozenset[str]:
    """Return the names that only one side has, or whose supplies are not the same object."""
    known, found = outlines_of(old), outlines_of(new)
    return frozenset(
        name for name in known.keys() | found.keys() if known.get(name) is not found.get(name)
    )
