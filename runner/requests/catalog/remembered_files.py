"""What a reader knows of a folder's files, and its text form for the next start. Pure.

The text holds no requests: those are in the store. It names the state of each file and
the digest of each definition. So an old, foreign or forged text does no damage: an
file that does not match is dropped and its file is read again. Files with problems are
always read again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from runner import __version__
from runner.requests.building.mentions import ON_FAILURE, Mention, mentioned
from runner.requests.building.stored import definition_digest
from runner.requests.catalog.request_file import Candidate, RequestFile
from runner.requests.findings import Spot
from runner.requests.model import ProcessRequest
from runner.resources import schema_text
from runner.system.regular_files import Signature

Notes = Mapping[str, Any]
"""The notes per file, not yet checked."""


def written(files: Mapping[str, RequestFile], *, root: str, zone: str) -> str:
    """Return the text for the valid files that are surely known below `root`.

    `zone` is the zone of times without an offset.
    """
    notes = {
        relative: [
            *(
                file.signature,
                file.digest.hex(),
                [_noted(each) for each in file.candidates],
                reads,
            ),
            file.defaults.hex(),
        ]
        for relative, file in files.items()
        if file.signature and not file.is_fresh and not file.problems
        for reads in [dict(file.reads)]
    }
    return json.dumps({"of": _origin(root, zone), "files": notes}, separators=(",", ":"))


def notes_in(text: str | bytes, *, root: str, zone: str) -> Notes:
    """Parse the text of `written` into notes per file; empty for any other text."""
    try:
        data = json.loads(text)
        return dict(data["files"]) if data["of"] == _origin(root, zone) else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def accepted(notes: Notes) -> frozenset[str]:
    """Return the digests of the definitions that this version of the program accepted."""
    try:
        return frozenset(
            digest for _, _, candidates, *_ in notes.values() for _, digest, *_ in candidates
        )
    except (ValueError, TypeError):
        return frozenset()


def recollected(
    notes: Notes, requests: Mapping[str, ProcessRequest], *, display: Callable[[str], str]
) -> dict[str, RequestFile]:
    """Return the noted files whose requests equal those in `requests`."""
    try:
        noted = (
            (relative, _file(relative, note, requests, display(relative)))
            for relative, note in notes.items()
        )
        return {relative: file for relative, file in noted if file is not None}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _origin(root: str, zone: str) -> list[str]:
    """Return what a text must share to count: folder, zone, program version and schema."""
    schema = hashlib.sha256(schema_text("process-request").encode()).hexdigest()
    return [root, zone, __version__, schema]


def _noted(candidate: Candidate) -> list[Any]:
    spots = (candidate.name_spot, *(mention.spot for mention in candidate.mentions))
    places = (number for spot in spots for number in (spot.line, spot.column))
    files = [mention.file for mention in candidate.mentions if mention.file is not None]
    return [
        candidate.request.name,
        definition_digest(candidate.request.source.definition),
        files,
        *places,
    ]


def _file(
    relative: str, note: list[Any], requests: Mapping[str, ProcessRequest], display: str
) -> RequestFile | None:
    """Rebuild a file's file from its note.

    None unless each named request comes from this file with an equal definition.
    """
    signature, digest, candidates, reads, defaults = note
    found = []
    for name, definition, files, *spots in candidates:
        request = requests.get(name)
        if (
            request is None
            or request.source.file != relative
            or definition_digest(request.source.definition) != definition
        ):
            return None
        found.append(_candidate(request, display, files, *spots))
    signatures = {path: None if read is None else _signature(*read) for path, read in reads.items()}
    return RequestFile(
        candidates=tuple(found),
        reads=signatures,
        signature=_signature(*signature),
        digest=bytes.fromhex(digest),
        defaults=bytes.fromhex(defaults),
    )


def _candidate(request: ProcessRequest, display: str, files: list[str], *spots: int) -> Candidate:
    """Rebuild a candidate.

    Only `on_failure` can be in another file, so `files` holds at most that one.
    """
    name_spot, *others = (
        Spot(line=line, column=column) for line, column in zip(spots[::2], spots[1::2], strict=True)
    )
    names = zip(mentioned(request), others, strict=True)
    mentions = tuple(
        Mention(
            path=path, name=name, spot=spot, file=files[0] if files and path == ON_FAILURE else None
        )
        for (path, name), spot in names
    )
    return Candidate(request=request, display=display, name_spot=name_spot, mentions=mentions)


def _signature(device: int, inode: int, size: int, changed: int, touched: int) -> Signature:
    return device, inode, size, changed, touched
