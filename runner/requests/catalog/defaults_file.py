"""One `_defaults.yaml` file, from its bytes to defaults. Reads the files of dates it names."""

from __future__ import annotations

import hashlib
import os.path
from dataclasses import replace
from typing import Any

from runner.errors import Problem
from runner.requests.building.request import RequestDraft, built
from runner.requests.catalog.defaults import OF_TIMINGS, PLACED, Defaults, SharedFailure
from runner.requests.catalog.request_file import Place, file_problem
from runner.requests.dates import files_named
from runner.requests.files.bounded_read import Trouble
from runner.requests.files.outside_files import without_content
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

_SCHEDULE: DataPath = ("timing", "schedule")
_ONE_S_OWN = ("name", "description", "formerly", "reschedule", "on_success")
_EMPTY = Trouble(reason="the file is empty", suggestion="write settings into it, or delete it")
_PROBE = {"frequency": "daily", "at": "00:00"}
"""A rule that fires whatever keys are added to it, so that only inherited keys can be wrong."""


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
        self._dates: dict[str, dict[str, str]] = {}
        self._reads: dict[str, Signature | None] = {}
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
        """Return the defaults, with the problems of the file and of its files of dates."""
        problems = without_content(self.problems, self._place.path, self._place.root)
        parts = (self._place.relative, raw, self._dates, problems)
        return Defaults(
            data=self._data,
            folders={key: self._folder for key in PLACED if key in self._data.get("process", {})},
            dates=self._dates,
            on_failure=self._on_failure,
            problems=problems,
            reads=self._reads,
            digest=digest_of(repr(parts)),
        )

    @property
    def _folder(self) -> str:
        return os.path.dirname(self._place.path)  # noqa: PTH120

    def _read_dates(self, data: dict[str, Any], findings: list[Finding]) -> None:
        for key, named, at in files_named(data.get("timing"), ("timing",)):
            read = self._place.dates_named(named, at)
            self._reads[read.path] = read.signature
            self.problems.extend(read.problems)
            if read.finding is not None:
                findings.append(read.finding)
            if read.entries is not None:
                self._dates.setdefault(key, {})[named] = read.entries

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
        draft = RequestDraft(
            data=probe, name="defaults", folder=self._folder, source=source, dates=self._dates
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


def digest_of(text: str) -> bytes:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
