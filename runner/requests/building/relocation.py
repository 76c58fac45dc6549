"""A request as if its file were in another folder. Pure.

With it, a copy of a jobs folder elsewhere can be compared with the original.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

from runner.requests.building.request import RequestDraft, built, draft_from
from runner.requests.model import ProcessRequest


def relocated(
    request: ProcessRequest, source: str, target: str, *, default_zone: str
) -> ProcessRequest:
    """Return a request read in or below `source` as it would be in `target`; both are absolute.

    The document's own paths stay as written, absolute ones included.
    """
    there = _draft_in(target, request.source.definition, source)
    moved, findings = built(there, default_zone=default_zone)
    assert moved is not None, f"it was built before: {findings}"
    return moved


def relocated_definition(definition: str, source: str, target: str) -> str:
    """Return a stored definition read in or below `source` as it would be in `target`.

    Raises ValueError, KeyError or TypeError for a text that is no definition from there.
    """
    return _draft_in(target, definition, source).definition


def _draft_in(target: str, definition: str, source: str) -> RequestDraft:
    draft = draft_from(definition)
    folders = {key: _moved(folder, source, target) for key, folder in draft.folders.items()}
    return replace(draft, folder=_moved(draft.folder, source, target), folders=folders, stored="")


def _moved(folder: str, source: str, target: str) -> str:
    return str(PurePath(target, PurePath(folder).relative_to(source)))
