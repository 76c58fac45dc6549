"""The text of a cache: the valid files of a jobs folder, for the next program that reads it.

The text holds data and no code: per file its signature, the digests of its inputs, and the
definitions of its requests as the store has them, with the positions that the cross checks
report. The whole text counts only for the same program, schema, user and folder
(`origin_of`), and only if its checksum is right. Files with problems are never kept.
`validated_files` reads it. Looks at the files of this program.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import __version__
from runner.requests.building.request import timing_text
from runner.requests.catalog.cached_requests import CachedRequest, Facts
from runner.requests.files.bounded_read import signature_at
from runner.requests.policies import NO_RETENTION
from runner.resources import schema_text
from runner.timing.zones import zone_digests

if TYPE_CHECKING:
    from runner.requests.catalog.cached_requests import Supply, TimingText
    from runner.requests.catalog.request_file import Candidate, RequestFile

_JUDGES = ("yaml", "jsonschema")
"""The packages that decide, besides this program, what a file means and whether it is valid."""
_FACTS = ("reschedule", "formerly", "owner", "labels", "receivers")
"""What the cache keeps of an outline as it is, where it is not empty."""


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
    return b"\n".join((json.dumps(header_of(origin, body)).encode("ascii"), body))


def root_in(text: bytes) -> str | None:
    """Return the folder whose files a text of `cache_text` holds; None for any other text."""
    try:
        return str(json.loads(text.partition(b"\n")[0])["origin"][0])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def header_of(origin: list[Any], body: bytes | memoryview) -> dict[str, Any]:
    """Return what the first line of a text says about the rest."""
    return {"origin": origin, "sha256": hashlib.sha256(body).hexdigest()}


def _noted(file: RequestFile, timings: dict[TimingText, int]) -> list[Any]:
    """Return the notes of a file, in the order in which `ValidatedFiles` reads them.

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
