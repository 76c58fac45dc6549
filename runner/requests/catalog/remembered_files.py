"""What a reader knows of a folder's files, and the text that keeps it from one run of
the program to the next. Pure.

The text holds no requests: those are in the store. It says of which file's state they
were read, and the digest of each definition, so that a text that is old, foreign or
tampered with makes nothing true: what does not fit is left out and its file read again.
Files with problems are always read again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runner import __version__
from runner.requests.building.mentions import ON_FAILURE, Mention, mentioned
from runner.requests.building.stored import definition_digest
from runner.requests.catalog.listing import signature_at
from runner.requests.catalog.loading import Candidate, LoadedFile
from runner.requests.findings import Spot
from runner.requests.model import ProcessRequest
from runner.resources import schema_text
from runner.system.regular_files import Signature

Notes = Mapping[str, Any]
"""What was kept of each file, not looked into yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of a file. `signature` is None for one that could not be read, for
    a reason that may pass.

    `is_fresh` says that it had changed so shortly before it was read that a further
    change may not show; `defaults` is the digest of the defaults that it was read with.
    """

    signature: Signature | None
    digest: bytes
    file: LoadedFile
    is_fresh: bool = False
    defaults: bytes = b""

    def is_same(self, other: Entry) -> bool:
        """Tell whether another reading of the file, and of what was read for its sake,
        found the same.
        """
        return self._known() == other._known()

    def _known(self) -> tuple[object, ...]:
        return self.signature, self.digest, self.defaults, self.file.reads


def reads_differ(file: LoadedFile) -> bool:
    """Tell whether a file that was read for the sake of another (dates of `except`)
    looks different now.
    """
    return bool(file.reads) and any(
        signature_at(path) != signature for path, signature in file.reads.items()
    )


def written(entries: Mapping[str, Entry], *, root: str, zone: str) -> str:
    """Write what is known for certain of good files below `root`, times without an
    offset being in `zone`.
    """
    files = {
        relative: [
            *(
                entry.signature,
                entry.digest.hex(),
                [_noted(each) for each in entry.file.candidates],
                reads,
            ),
            entry.defaults.hex(),
        ]
        for relative, entry in entries.items()
        if entry.signature and not entry.is_fresh and not entry.file.problems
        for reads in [dict(entry.file.reads)]
    }
    return json.dumps({"of": _origin(root, zone), "files": files}, separators=(",", ":"))


def notes_in(text: str | bytes, *, root: str, zone: str) -> Notes:
    """Return what `written` wrote, by file; nothing of any other text."""
    try:
        told = json.loads(text)
        return dict(told["files"]) if told["of"] == _origin(root, zone) else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def accepted(notes: Notes) -> frozenset[str]:
    """Return the digests of the definitions that this version of the program, with its
    schema, has made itself.
    """
    try:
        return frozenset(
            digest for _, _, candidates, *_ in notes.values() for _, digest, *_ in candidates
        )
    except (ValueError, TypeError):
        return frozenset()


def recollected(
    notes: Notes, requests: Mapping[str, ProcessRequest], *, display: Callable[[str], str]
) -> dict[str, Entry]:
    """Return what the notes say of files, as far as `requests` are those they speak of."""
    try:
        noted = (
            (relative, _entry(relative, note, requests, display(relative)))
            for relative, note in notes.items()
        )
        return {relative: entry for relative, entry in noted if entry is not None}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _origin(root: str, zone: str) -> list[str]:
    """Return what must be the same for a text to count: the folder, the zone, the
    program and its schema.
    """
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


def _entry(
    relative: str, note: list[Any], requests: Mapping[str, ProcessRequest], display: str
) -> Entry | None:
    """Return what a note says of a file, if the requests it names are its own, and the
    very ones it was made of.
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
    file = LoadedFile(candidates=tuple(found), reads=signatures)
    digests = bytes.fromhex(digest), bytes.fromhex(defaults)
    return Entry(
        signature=_signature(*signature), digest=digests[0], file=file, defaults=digests[1]
    )


def _candidate(request: ProcessRequest, display: str, files: list[str], *spots: int) -> Candidate:
    """Build a candidate again. Only `on_failure` can stand in another file, which is
    the only one in `files` then.
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
