"""Find added requests that look like removed ones under another name. Pure.

Without `formerly`, such a request begins with an empty state: a one-time request runs
again, and history and drift stay with the old name. `plan` and the line about a reload point
that out; nothing follows from it by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from runner.planning.changeover import Changeover, Requests
from runner.requests.model import ProcessRequest, Source

_MOST = 50
"""More added or removed requests are a reorganisation, and each pair must be compared."""
_NOWHERE = Source(file="", line=0, sha256="")


def likely_renames(change: Changeover, old: Requests) -> dict[str, str]:
    """Return the added names that look renamed, each with its likely former name.

    A pair counts if both have the same definition apart from the name, and neither looks
    like another one as well.
    """
    continued = frozenset(change.renamed.values())
    added = [name for name in change.difference.added if name not in change.renamed]
    removed = [name for name in change.difference.removed if name not in continued]
    if max(len(added), len(removed)) > _MOST:
        return {}
    pairs = _pairs(added, removed, change.in_force.requests, old)
    news, olds = Counter(name for name, _ in pairs), Counter(former for _, former in pairs)
    return {name: former for name, former in pairs if news[name] == olds[former] == 1}


def _pairs(
    added: Collection[str], removed: Collection[str], new: Requests, old: Requests
) -> list[tuple[str, str]]:
    before = {former: _nameless(old[former]) for former in removed}
    after = {name: _nameless(new[name]) for name in added}
    return [
        (name, former)
        for name, request in after.items()
        for former, other in before.items()
        if request == other
    ]


def _nameless(request: ProcessRequest) -> ProcessRequest:
    """Return a request without its name, also where its process has it by default."""
    is_default = request.process.name == request.name
    process = replace(request.process, name="") if is_default else request.process
    return replace(request, name="", process=process, source=_NOWHERE, formerly=None)
