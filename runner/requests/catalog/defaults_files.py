"""The `_defaults.yaml` files of a jobs folder, kept current and merged per folder. Reads files."""

from __future__ import annotations

import hashlib
import os.path
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.errors import Problem
from runner.requests.building.request import Draft, built
from runner.requests.catalog.defaults import (
    NAMES,
    NONE,
    OF_TIMINGS,
    PLACED,
    Defaults,
    SharedFailure,
    together,
)
from runner.requests.catalog.listing import Listing
from runner.requests.catalog.request_file import Place, file_problem
from runner.requests.files.bounded_read import Trouble, read_bounded, signature_at
from runner.requests.files.dates_file import DatesFile, dates_file
from runner.requests.files.outside_files import discreet
from runner.requests.findings import (
    DataPath,
    Finding,
    merged_findings,
    value_at,
    without_consequences,
)
from runner.requests.model import Source
from runner.requests.schema.checking import findings_in
from runner.requests.yaml.document import Document, documents_in
from runner.system.regular_files import Signature

_EXCEPT: DataPath = ("timing", "except")
_SCHEDULE: DataPath = ("timing", "schedule")
_ONE_S_OWN = ("name", "description", "formerly", "reschedule")
_EMPTY = Trouble(reason="the file is empty", suggestion="write settings into it, or delete it")
_PROBE = {"frequency": "daily", "at": "00:00"}
"""A rule that fires whatever keys are added to it, so that only inherited keys can be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A file as last read; `digest` is the SHA-256 of its bytes."""

    signature: Signature | None
    digest: bytes
    defaults: Defaults

    @property
    def is_as_read(self) -> bool:
        """Whether the other files read for this one are unchanged."""
        return all(
            signature_at(path) == signature for path, signature in self.defaults.reads.items()
        )


class DefaultsFiles:
    """The defaults files below `root`, an absolute path.

    `display` turns a path relative to `root` into the path that messages show.
    """

    def __init__(
        self, root: str, *, display: Callable[[str], str], default_zone: str, is_guarded: bool
    ) -> None:
        self._is_guarded = is_guarded
        self._root = root
        self._display = display
        self._default_zone = default_zone
        self._known: dict[str, _Known] = {}
        self._around: dict[str, Defaults] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    @property
    def problems(self) -> Mapping[str, tuple[Problem, ...]]:
        """The problems of each file, by path relative to the jobs folder."""
        found = {relative: self._own(relative).problems for relative in sorted(self._known)}
        return {relative: problems for relative, problems in found.items() if problems}

    @property
    def reads(self) -> frozenset[str]:
        """The absolute paths of the other files read for these, such as dates of `except`."""
        return frozenset(path for known in self._known.values() for path in known.defaults.reads)

    def around(self, folder: str) -> Defaults:
        """Return the defaults for the requests directly in a folder.

        `folder` is relative to the jobs folder; "" is the jobs folder itself.
        """
        if not self._known:
            return NONE
        if folder not in self._around:
            far = self.around(folder.rpartition("/")[0]) if folder else NONE
            below = f"{folder}/" if folder else ""
            for relative in (below + name for name in NAMES if below + name in self._known):
                own = self._own(relative)
                far = together(far, own, hashlib.sha256(far.digest + own.digest).digest())
            self._around[folder] = far
        return self._around[folder]

    def refresh(self, listing: Listing) -> Generator[None, None, bool]:
        """Read every defaults file; return whether any of them changed."""
        known: dict[str, _Known] = {}
        for relative in listing.defaults:
            known[relative] = self._refreshed(relative, listing.troubles.get(relative))
            yield
        before = {relative: each.defaults.digest for relative, each in self._known.items()}
        is_any = before != {relative: each.defaults.digest for relative, each in known.items()}
        self._known = known
        if is_any:
            self._around = {}
        return is_any

    def look(self, listing: Listing) -> Generator[None, None, bool]:
        """Return, by `stat` alone, whether any file changed, appeared or disappeared."""
        if len(listing.defaults) != len(self._known):
            return True
        for relative, signature in listing.defaults.items():
            known = self._known.get(relative)
            if known is None or known.signature != signature or not known.is_as_read:
                return True
            yield
        return False

    def _own(self, relative: str) -> Defaults:
        """Return what one file sets.

        With both spellings in one folder, the `.yml` file is an error.
        """
        first = relative.removesuffix(NAMES[1]) + NAMES[0]
        own = self._known[relative].defaults
        if first == relative or first not in self._known:
            return own
        trouble = Trouble(
            reason=f"`{NAMES[0]}` is in the same folder", suggestion="keep one of them"
        )
        problem = file_problem(self._display(relative), trouble)
        # Any digest will do that differs from the digest of the file alone.
        return replace(own, problems=(problem, *own.problems), digest=own.digest[::-1])

    def _refreshed(self, relative: str, trouble: Trouble | None) -> _Known:
        path = f"{self._root}/{relative}"
        content = trouble or read_bounded(path)
        if isinstance(content, Trouble):
            problems = (file_problem(self._display(relative), content),)
            return _Known(
                signature=None,
                digest=b"",
                defaults=Defaults(problems=problems, digest=_digest(repr(problems))),
            )
        raw, signature = content
        known, digest = self._known.get(relative), hashlib.sha256(raw).digest()
        if known is not None and known.digest == digest and known.is_as_read:
            return replace(known, signature=signature)
        place = Place(
            relative=relative,
            display=self._display(relative),
            path=path,
            default_zone=self._default_zone,
            is_guarded=self._is_guarded,
        )
        return _Known(signature=signature, digest=digest, defaults=defaults_in(raw, place))


def defaults_in(raw: bytes, place: Place) -> Defaults:
    """Read a defaults file from its bytes; report all of its problems at once."""
    reading = _Reading(place)
    if not raw.strip():
        reading.problems.append(file_problem(place.display, _EMPTY))
    else:
        documents = documents_in(raw, place.display)
        if isinstance(documents, Problem):
            reading.problems.append(documents)
        elif documents:
            reading.read(documents)
    return reading.result(raw)


class _Reading:
    """The reading of one defaults file."""

    def __init__(self, place: Place) -> None:
        self.problems: list[Problem] = []
        self._place = place
        self._data: dict[str, Any] = {}
        self._dates: DatesFile | None = None
        self._on_failure: SharedFailure | None = None

    def read(self, documents: tuple[Document, ...]) -> None:
        """Check the document; keep its data only if it has no problem."""
        document, data = documents[0], documents[0].data
        findings = merged_findings(document.findings, map(_worded, findings_in(data, "defaults")))
        if len(documents) > 1:
            findings.append(
                Finding(path=(), message="defaults are one document", suggestion="remove the `---`")
            )
        if isinstance(data, dict):
            self._read_dates(data, findings)
            findings += self._misused(data, findings)
        if not findings and isinstance(data, dict):
            self._data = data
            self._note_on_failure(document)
        problems = (
            document.problem(finding, self._place.display)
            for finding in without_consequences(findings)
        )
        self.problems.extend(sorted(problems, key=lambda problem: (problem.line, problem.column)))

    def result(self, raw: bytes) -> Defaults:
        """Return the defaults, with the problems of the file and of its dates file."""
        dates = self._dates
        excepted = dates.dates if dates else None
        problems = discreet(self.problems, self._place.path, self._place.root)
        parts = (self._place.relative, raw, sorted(excepted or ()), problems)
        return Defaults(
            data=self._data,
            folders={key: self._folder for key in PLACED if key in self._data.get("process", {})},
            excepted=excepted,
            on_failure=self._on_failure,
            problems=problems,
            reads={dates.path: dates.signature} if dates else {},
            digest=_digest(repr(parts)),
        )

    @property
    def _folder(self) -> str:
        return os.path.dirname(self._place.path)  # noqa: PTH120

    def _read_dates(self, data: dict[str, Any], findings: list[Finding]) -> None:
        named = value_at(data, _EXCEPT)
        if not isinstance(named, str) or not named:
            return
        place = self._place
        self._dates = read = dates_file(
            named,
            _EXCEPT,
            path=place.path,
            display=place.display,
            root=place.root,
            is_guarded=place.is_guarded,
        )
        self.problems.extend(read.problems)
        if read.finding is not None:
            findings.append(read.finding)

    def _misused(self, data: dict[str, Any], findings: list[Finding]) -> list[Finding]:
        """Find values that the schema accepts but that are wrong.

        The defaults are built as part of a complete probe request, so the checks of
        requests apply to them.
        """
        parts = {key: data.get(key, {}) for key in ("process", "timing")}
        probe = {key: value for key, value in data.items() if key not in parts}
        if isinstance(parts["process"], dict):
            probe["process"] = {**parts["process"], "shell": ":"}
        if isinstance(parts["timing"], dict):
            inherited = {
                key: value
                for key, value in parts["timing"].items()
                if key in OF_TIMINGS["schedule"]
            }
            probe["timing"] = {"schedule": {**inherited, **_PROBE}}
        source = Source(file=self._place.relative, line=1, sha256="")
        dates = self._dates.dates if self._dates else None
        draft = Draft(
            data=probe, name="defaults", folder=self._folder, source=source, excepted=dates
        )
        spoiled = frozenset(finding.path[:1] for finding in findings if finding.path)
        if not spoiled and findings:
            return []
        _, wrong = built(draft, default_zone=self._place.default_zone, spoiled=spoiled)
        return [replace(each, path=_in_defaults(each.path)) for each in wrong]

    def _note_on_failure(self, document: Document) -> None:
        path: DataPath = ("on_failure", "request")
        if value_at(document.data, path) is not None:
            self._on_failure = SharedFailure(file=self._place.relative, spot=document.spot(path))


def _in_defaults(path: DataPath) -> DataPath:
    """Map a path in the probe request back to the path in the defaults file."""
    return ("timing", *path[2:]) if path[:2] == _SCHEDULE else path


def _worded(finding: Finding) -> Finding:
    """Reword a finding of the request schema for a defaults file."""
    if len(finding.path) > 1:
        return finding
    if not finding.at_key or finding.path[-1] not in _ONE_S_OWN:
        return replace(finding, message=finding.message.replace("a request", "the defaults"))
    message = f"`{finding.path[-1]}` belongs to one request and cannot have a default"
    return replace(finding, message=message, suggestion="leave it out")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
