"""Reads one file of a jobs folder: its valid requests and the problems of the rest.

Also reads the files of dates that the requests name.
"""

from __future__ import annotations

import hashlib
import os.path
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.errors import Problem
from runner.requests.building.mentions import ON_FAILURE, Mention, mentioned
from runner.requests.building.request import RequestDraft, built
from runner.requests.catalog import defaults as shared
from runner.requests.catalog.catalog import Rejection
from runner.requests.catalog.request_file import (
    Candidate,
    Place,
    RequestFile,
    file_problem,
    fresh_after_ns,
    reads_differ,
)
from runner.requests.dates import files_named
from runner.requests.files.bounded_read import Trouble, read_bounded, signature_at
from runner.requests.files.outside_files import without_content
from runner.requests.findings import (
    Finding,
    lies_below,
    merged_findings,
    shown,
    value_at,
    without_consequences,
)
from runner.requests.model import ProcessRequest, Source
from runner.requests.schema.checking import findings_in
from runner.requests.schema.shipped import is_name
from runner.requests.schema.wording import name_suggestion
from runner.requests.yaml.document import Document, documents_in
from runner.system.regular_files import Signature

if TYPE_CHECKING:
    from runner.requests.findings import DataPath

_SCHEDULE = ("timing", "schedule")
_MOST_PROBLEMS = 200
_EMPTY = Trouble(
    reason="the file is empty",
    suggestion="write a request into it, or delete it to remove its requests",
)


def read_file(place: Place, known: RequestFile | None = None) -> RequestFile:
    """Read a file; reuse what is `known` of it if its bytes and inputs are unchanged."""
    content = read_bounded(place.path)
    if isinstance(content, Trouble):
        signature = None if content.may_pass else signature_at(place.path)
        return _unusable(place, file_problem(place.display, content), signature=signature)
    raw, signature = content
    tick_ago_ns = fresh_after_ns()
    digest = hashlib.sha256(raw).digest()
    is_known = (
        known is not None
        and (known.digest, known.defaults) == (digest, place.defaults.digest)
        and not reads_differ(known)
        # The timestamps of its dates may hide a change, too.
        and not (known.is_fresh and known.reads)
    )
    file = known if known is not None and is_known else loaded(raw, place)
    is_fresh = signature is None or any(
        each is not None and each[-1] > tick_ago_ns for each in (signature, *file.reads.values())
    )
    return replace(file, signature=signature, digest=digest, is_fresh=is_fresh)


def loaded(raw: bytes, place: Place) -> RequestFile:
    """Read the requests in a file's bytes.

    An empty file is an error: an editor may be writing it, or somebody emptied it by
    mistake.
    """
    if place.defaults.problems:
        return _unusable(place, *place.defaults.problems)
    if not raw.strip():
        return _unusable(place, file_problem(place.display, _EMPTY))
    documents = documents_in(raw, place.display)
    if isinstance(documents, Problem):
        return _unusable(place, *without_content((documents,), place.path, place.root))
    loading = _Loading(place, documents, raw)
    for document in documents:
        loading.load(document)
    return loading.result()


def _unusable(place: Place, *problems: Problem, signature: Signature | None = None) -> RequestFile:
    """Return a file that supplies nothing, not even names."""
    rejection = Rejection(file=place.relative, problems=problems, whole=True)
    return RequestFile(
        rejection=rejection, reads={}, signature=signature, defaults=place.defaults.digest
    )


class _Loading:
    """The documents of one file, loaded one after another."""

    def __init__(self, place: Place, documents: tuple[Document, ...], raw: bytes) -> None:
        self._place = place
        self._raw = raw
        self._is_alone = len(documents) == 1
        self._candidates: list[Candidate] = []
        self._problems: list[Problem] = []
        self._names: set[str] = set()
        self._blamed: list[tuple[str, Problem]] = []
        self._is_whole = False
        self._reads: dict[str, Signature | None] = {}

    def result(self) -> RequestFile:
        """Return all that was loaded."""
        return RequestFile(
            candidates=tuple(self._candidates),
            rejection=self._rejection() if self._problems else None,
            reads=self._reads,
            defaults=self._place.defaults.digest,
        )

    def _rejection(self) -> Rejection:
        """Return the rejected documents.

        A file outside the jobs folder shows no content, so its `blamed` share one
        problem.
        """
        found = tuple(self._problems[:_MOST_PROBLEMS])
        shown_problems = without_content(found, self._place.path, self._place.root)
        blamed = self._blamed[:_MOST_PROBLEMS]
        return Rejection(
            file=self._place.relative,
            problems=shown_problems,
            names=frozenset(self._names),
            whole=self._is_whole,
            blamed=tuple(
                blamed
                if shown_problems == found
                else ((name, shown_problems[0]) for name, _ in blamed)
            ),
        )

    def load(self, document: Document) -> None:
        """Build a document's request; note it as a candidate or as rejected."""
        wrongly_named: list[Finding] = []
        name = self._name(document, wrongly_named)
        defaults = self._place.defaults
        data = shared.filled(document.data, defaults, name)
        findings = [*_findings(document, data), *wrongly_named]
        dates = {**shared.dates_for(document.data, defaults), **self._dates(document, findings)}
        request = None
        if isinstance(data, dict):
            draft = RequestDraft(
                data=data,
                name=name or "",
                folder=os.path.dirname(self._place.path),  # noqa: PTH120
                source=Source(
                    file=self._place.relative, line=document.line, sha256=self._digest(document)
                ),
                dates=dates,
                folders=shared.folders_of(document.data, defaults),
            )
            spoiled = frozenset(finding.path for finding in findings)
            request, wrong = built(draft, default_zone=self._place.default_zone, spoiled=spoiled)
            findings.extend(wrong)
        if request is None or findings:
            self._reject(document, findings, name)
        else:
            self._accept(document, request)

    def _name(self, document: Document, findings: list[Finding]) -> str | None:
        """Return a document's name, its own or the file's stem.

        None, with a finding, if it has no valid name; the schema reports an invalid
        `name` itself.
        """
        data = document.data if isinstance(document.data, dict) else {}
        if "name" in data:
            return data["name"] if is_name(data["name"]) else None
        if not self._is_alone:
            message = "several requests in one file each need a `name`"
            findings.append(Finding(path=(), message=message, suggestion="add a `name`"))
            return None
        stem = os.path.splitext(os.path.basename(self._place.relative))[0]  # noqa: PTH119, PTH122
        if is_name(stem):
            return stem
        message = f"the file's name {shown(stem)} cannot be the request's"
        findings.append(Finding(path=(), message=message, suggestion=_naming(stem)))
        return None

    def _dates(self, document: Document, findings: list[Finding]) -> dict[str, dict[str, str]]:
        """Read the files of dates that a document names; return their entries by key."""
        wrong = {each.path for each in findings}
        dates: dict[str, dict[str, str]] = {}
        for key, named, at in files_named(value_at(document.data, _SCHEDULE), _SCHEDULE):
            if lies_below(at, wrong):
                continue
            read = self._place.dates_named(named, at)
            self._reads[read.path] = read.signature
            self._problems.extend(each for each in read.problems if each not in self._problems)
            if read.finding is not None:
                findings.append(read.finding)
            if read.entries is not None:
                dates.setdefault(key, {})[named] = read.entries
        return dates

    def _accept(self, document: Document, request: ProcessRequest) -> None:
        candidate = Candidate(
            supply=request,
            display=self._place.display,
            name_spot=document.spot(("name",)),
            mentions=tuple(
                self._mention(document, path, name) for path, name in mentioned(request)
            ),
        )
        self._candidates.append(candidate)

    def _mention(self, document: Document, path: DataPath, name: str) -> Mention:
        shared_failure = self._place.defaults.on_failure
        is_inherited = path == ON_FAILURE and value_at(document.data, path) is None
        if is_inherited and shared_failure is not None:
            return Mention(path=path, name=name, spot=shared_failure.spot, file=shared_failure.file)
        return Mention(path=path, name=name, spot=document.spot(path))

    def _reject(self, document: Document, findings: list[Finding], name: str | None) -> None:
        if name is None:
            self._is_whole = True
        else:
            self._names.add(name)
        unsorted = (
            document.problem(finding, self._place.display)
            for finding in without_consequences(findings)
        )
        problems = sorted(unsorted, key=lambda problem: (problem.line, problem.column))
        self._problems.extend(problems)
        if name is not None:
            self._blamed.extend((name, problem) for problem in problems)

    def _digest(self, document: Document) -> str:
        # A single document is the whole file, so that its digest is what `sha256sum` prints.
        return hashlib.sha256(self._raw if self._is_alone else document.text.encode()).hexdigest()


def _findings(document: Document, data: object) -> list[Finding]:
    """Return the findings of the YAML reader and of the schema, each once.

    `data` is the document with its defaults filled in.
    """
    by_schema = findings_in(data)
    return merged_findings(document.findings, by_schema) if document.findings else list(by_schema)


def _naming(stem: str) -> str:
    suggestion = name_suggestion(stem)
    return f"rename it or add a `name`, {suggestion}" if suggestion else "rename it or add a `name`"
