"""A request as if its file lay in another folder: so a copy of a jobs folder elsewhere
is compared with it. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

from runner.requests.building.request import built, draft_from
from runner.requests.model import ProcessRequest


def relocated(
    request: ProcessRequest, source: str, target: str, *, default_zone: str
) -> ProcessRequest:
    """Return a request that was read in or below the folder `source` as it would be in
    `target`; both absolute.

    What its own document says is left as it is: an absolute path in there is meant so.
    """
    draft = draft_from(request.source.definition)
    folders = {key: _moved(folder, source, target) for key, folder in draft.folders.items()}
    there = replace(draft, folder=_moved(draft.folder, source, target), folders=folders, stored="")
    moved, findings = built(there, default_zone=default_zone)
    assert moved is not None, f"it was built before: {findings}"
    return moved


def _moved(folder: str, source: str, target: str) -> str:
    return str(PurePath(target, PurePath(folder).relative_to(source)))
