"""The valid files in a text of `cache_text`, for a program that reads their folder again.

A hit saves parsing and judging; the request itself is built anew from its definition. So
time zones, their data and the rules of dates need no place in the key: what can no longer
be built is read again. An entry counts only for an unchanged file with unchanged defaults
and dates. Looks at files of dates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.requests.building.mentions import ON_FAILURE, Mention, mentioned
from runner.requests.building.request import built, draft_from
from runner.requests.catalog.cache_text import header_of
from runner.requests.catalog.cached_requests import CachedRequest, Timings, whole
from runner.requests.catalog.request_file import Candidate, Place, RequestFile, reads_differ
from runner.requests.findings import Spot
from runner.system.trust import ROOT
from runner.timing.zones import are_zones

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.requests.catalog.cached_requests import Recalled, Supply, TimingText
    from runner.requests.model import ProcessRequest
    from runner.system.regular_files import Signature

_Entry = tuple[list[Any], list[str]]
"""The notes about a file, not yet checked, and the definitions of its requests."""


class ValidatedFiles:
    """The files in a text of `cache_text` that are still unused."""

    def __init__(self, text: _Text | None = None) -> None:
        self._text = text or _Text()
        self._entries = dict(self._text.entries)
        self._built: Mapping[str, ProcessRequest] = {}
        self._late: dict[str, CachedRequest] = {}

    @property
    def definitions(self) -> Recalled:
        """The definitions that this version of the program found valid."""
        if self._late:
            return self._late
        return {each: None for _, definitions in self._entries.values() for each in definitions}

    def reuse(self, requests: Mapping[str, ProcessRequest]) -> None:
        """Use requests that are already built, by name, where their definitions are equal."""
        self._built = requests

    def build_late(self, zone: str) -> None:
        """Build no request until it is needed whole.

        A definition that was built once can be built again in the same zone, with the same
        zone data. If they differ, nothing changes: what cannot be built must be read again.
        """
        text = self._text
        if zone != text.zone or not are_zones(text.zones):
            return
        timings = Timings(text.timings, zone)
        for relative, (notes, definitions) in self._entries.items():
            for (name, timing, facts, *_), definition in zip(notes[-1], definitions, strict=True):
                self._late[definition] = CachedRequest(
                    name,
                    relative,
                    definition,
                    facts=facts,
                    timing=timing,
                    timings=timings,
                    zone=zone,
                )

    def take(self, place: Place, signature: Signature) -> RequestFile | None:
        """Return what a read of the file at `place` would find, None if only a read can say.

        `signature` is the one it has now. An entry can be taken once.
        """
        entry = self._entries.pop(place.relative, None)
        if entry is None:
            return None
        try:
            file = self._rebuilt(*entry, place, signature)
        except (ValueError, LookupError, TypeError, AttributeError):
            return None
        if file is None or reads_differ(file):
            return None
        is_refused = place.is_guarded and any(map(ROOT.objection, file.reads))
        return None if is_refused else file

    def _rebuilt(
        self, notes: list[Any], definitions: list[str], place: Place, signature: Signature
    ) -> RequestFile | None:
        numbers, digest, defaults, reads, candidates = notes
        if tuple(numbers) != signature or defaults != place.defaults.digest.hex():
            return None
        found = []
        for noted, definition in zip(candidates, definitions, strict=True):
            name, _, _, files, *spots = noted
            supply = self._late.get(definition) or self._request(
                name, definition, place.default_zone
            )
            if supply is None:
                return None
            found.append(_candidate(supply, place.display, files, spots))
        return RequestFile(
            candidates=tuple(found),
            reads={path: _signature(*read) for path, read in reads.items()},
            signature=signature,
            digest=bytes.fromhex(digest),
            defaults=place.defaults.digest,
        )

    def _request(self, name: str, definition: str, zone: str) -> ProcessRequest | None:
        known = self._built.get(name)
        if known is not None and known.source.definition == definition:
            return known
        return built(draft_from(definition), default_zone=zone)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """The content of a text of `cache_text`.

    `zone` is the one of times without an offset, and `zones` are digests of the zone data
    with which the requests were built.
    """

    zone: str = ""
    zones: Mapping[str, str] = field(default_factory=dict)
    timings: Sequence[TimingText] = ()
    entries: Mapping[str, _Entry] = field(default_factory=dict)


def validated_in(text: bytes, origin: list[Any]) -> ValidatedFiles:
    """Return the files of a text of `cache_text`; none for any other text."""
    first = text[: max(0, text.find(b"\n"))]
    body = memoryview(text)[len(first) + 1 :]  # a copy would double the memory
    try:
        if not first or json.loads(first) != header_of(origin, body):
            return ValidatedFiles()
        line, *definitions = str(body, "utf-8", "surrogatepass").split("\n")
        notes = json.loads(line)
        return ValidatedFiles(
            _Text(
                zone=notes["zone"],
                zones=notes["zones"],
                timings=[(timing, dates) for timing, dates in notes["timings"]],
                entries=_entries(notes["files"], definitions),
            )
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ValidatedFiles()


def _entries(notes: list[Any], definitions: list[str]) -> dict[str, _Entry]:
    """Pair the notes of each file with its share of the definitions."""
    entries: dict[str, _Entry] = {}
    begin = 0
    for relative, *of_file in notes:
        end = begin + len(of_file[-1])
        entries[relative] = (of_file, definitions[begin:end])
        begin = end
    return entries


def _candidate(supply: Supply, display: str, files: list[str], spots: Sequence[int]) -> Candidate:
    line, column, *others = spots
    return Candidate(
        supply=supply,
        display=display,
        name_spot=Spot(line=line, column=column),
        mentions=tuple(_mentions(whole(supply), files, others)) if others else (),
    )


def _mentions(request: ProcessRequest, files: list[str], spots: Sequence[int]) -> Iterator[Mention]:
    """Rebuild the mentions of a request.

    Only `on_failure` can be in another file, so `files` holds at most that one.
    """
    places = zip(spots[::2], spots[1::2], strict=True)
    for (path, name), (line, column) in zip(mentioned(request), places, strict=True):
        file = files[0] if files and path == ON_FAILURE else None
        yield Mention(path=path, name=name, spot=Spot(line=line, column=column), file=file)


def _signature(device: int, inode: int, size: int, changed: int, touched: int) -> Signature:
    return device, inode, size, changed, touched
