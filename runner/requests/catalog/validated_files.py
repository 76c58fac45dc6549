"""Files that were read and found valid, as text for the next program that reads the folder.

The text holds data and no code: per file its signature, the digests of its inputs, and
the definitions of its requests as the store has them, with the positions that the cross
checks report. A hit saves parsing and judging; the request itself is built anew from its
definition. So time zones, their data and the rules of dates need no place in the key: what
can no longer be built is read again.

The whole text counts only for the same program, schema, user and folder (`origin_of`), and
only if its checksum is right. An entry counts only for an unchanged file with unchanged
defaults and dates. Files with problems are never kept. Looks at files of dates.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import __version__
from runner.requests.building.mentions import ON_FAILURE, Mention, mentioned
from runner.requests.building.request import built, draft_from, timing_text
from runner.requests.catalog.cached_requests import CachedRequest, Facts, Timings, whole
from runner.requests.catalog.request_file import Candidate, Place, RequestFile, reads_differ
from runner.requests.files.bounded_read import signature_at
from runner.requests.findings import Spot
from runner.requests.model import NO_RETENTION
from runner.resources import schema_text
from runner.system.trust import ROOT
from runner.timing.zones import are_zones, zone_digests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.requests.catalog.cached_requests import Recalled, Supply, TimingText
    from runner.requests.model import ProcessRequest
    from runner.system.regular_files import Signature

_JUDGES = ("yaml", "jsonschema")
"""The packages that decide, besides this program, what a file means and whether it is valid."""
_FACTS = ("reschedule", "formerly", "owner", "labels", "receivers")
"""What the cache keeps of an outline as it is, where it is not empty."""
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


def origin_of(root: str) -> list[Any]:
    """Return what two programs must share so that one takes what the other read in `root`.

    The user and the groups are part of it because they decide which files can be read.
    """
    user = [os.geteuid(), os.getegid(), *sorted(os.getgroups())]
    return [root, user, __version__, sys.version, _judges_digest()]


def cache_text(files: Mapping[str, RequestFile], origin: list[Any], *, zone: str) -> bytes:
    """Return the text for the valid files whose state is certain.

    `zone` is the one of times without an offset.
    """
    kept = {
        relative: file
        for relative, file in files.items()
        if file.signature
        and not file.is_fresh
        and file.rejection is None
        and all(file.reads.values())
    }
    timings: dict[TimingText, int] = {}
    notes = {
        "zone": zone,
        "zones": zone_digests(),
        "files": [[relative, *_noted(file, timings)] for relative, file in kept.items()],
        "timings": list(timings),
    }
    definitions = (_definition(each.supply) for file in kept.values() for each in file.candidates)
    text = "\n".join((json.dumps(notes, separators=(",", ":")), *definitions))
    body = text.encode("utf-8", "surrogatepass")
    return b"\n".join((json.dumps(_header(origin, body)).encode("ascii"), body))


def validated_in(text: bytes, origin: list[Any]) -> ValidatedFiles:
    """Return the files of a text of `cache_text`; none for any other text."""
    first = text[: max(0, text.find(b"\n"))]
    body = memoryview(text)[len(first) + 1 :]  # a copy would double the memory
    try:
        if not first or json.loads(first) != _header(origin, body):
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


def root_in(text: bytes) -> str | None:
    """Return the folder whose files a text of `cache_text` holds; None for any other text."""
    try:
        return str(json.loads(text.partition(b"\n")[0])["origin"][0])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _header(origin: list[Any], body: bytes | memoryview) -> dict[str, Any]:
    return {"origin": origin, "sha256": hashlib.sha256(body).hexdigest()}


def _entries(notes: list[Any], definitions: list[str]) -> dict[str, _Entry]:
    """Pair the notes of each file with its share of the definitions."""
    entries: dict[str, _Entry] = {}
    begin = 0
    for relative, *of_file in notes:
        end = begin + len(of_file[-1])
        entries[relative] = (of_file, definitions[begin:end])
        begin = end
    return entries


def _noted(file: RequestFile, timings: dict[TimingText, int]) -> list[Any]:
    """Return the notes of a file, in the order in which `_rebuilt` reads them.

    `timings` numbers the texts of timings; new ones are added.
    """
    return [
        file.signature,
        file.digest.hex(),
        file.defaults.hex(),
        dict(file.reads),
        [_noted_candidate(each, timings) for each in file.candidates],
    ]


def _noted_candidate(candidate: Candidate, timings: dict[TimingText, int]) -> list[Any]:
    timing, facts = _outline(candidate.supply)
    number = None if timing is None else timings.setdefault(timing, len(timings))
    spots = (candidate.name_spot, *(mention.spot for mention in candidate.mentions))
    places = (number for spot in spots for number in (spot.line, spot.column))
    files = [mention.file for mention in candidate.mentions if mention.file is not None]
    return [candidate.name, number, facts, files, *places]


def _outline(supply: Supply) -> tuple[TimingText | None, Facts]:
    if isinstance(supply, CachedRequest):
        return supply.noted()
    facts = {name: getattr(supply, name) for name in _FACTS if getattr(supply, name)}
    if not supply.scheduled:
        facts["scheduled"] = False
    if supply.retention != NO_RETENTION:
        facts["retention"] = True  # rarely needed: then the request is built
    return timing_text(supply.source.definition), facts


def _definition(supply: Supply) -> str:
    return supply.definition if isinstance(supply, CachedRequest) else supply.source.definition


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


@cache
def _judges_digest() -> str:
    """Return a digest of the schema and of the files of all code that reads and judges.

    By their signatures, so that code that was patched under an unchanged version counts
    as new. Device and inode differ between two mounts of one container image.
    """
    specs = (find_spec(name) for name in _JUDGES)
    paths = [spec.origin for spec in specs if spec and spec.origin]
    for folder, _, names in os.walk(Path(__file__).parents[1]):
        paths += [f"{folder}/{name}" for name in names if name.endswith(".py")]
    signatures = [(path, (signature_at(path) or ())[2:]) for path in sorted(paths)]
    return hashlib.sha256(f"{schema_text('process-request')}{signatures}".encode()).hexdigest()
