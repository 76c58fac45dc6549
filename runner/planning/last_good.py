"""Decide which definitions are in force: the catalog's, or the last good ones. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from runner.requests.catalog.catalog import Catalog, Rejection
from runner.requests.model import ProcessRequest

DIFFERS = "differs from what the fleet serves"
"""Why a new leader of a fleet keeps all requests, although its folder shows files."""
_WAYS_BACK = {
    DIFFERS: "deploy the served commit there",
    "does not exist": "create or mount it again",
    "is not a folder": "replace it with the folder",
    "is empty": "put its files back",
    "has no readable request file": "put its files back, and fix the rejected ones",
}
"""How to get a folder back, by the reason why it shows no files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The requests in force.

    `kept` names those whose document is bad now and whose last good version stays active.
    `emptiness` says why no file counts, so that every request stays active ("is empty",
    "does not exist"); None if the files count.
    """

    requests: Mapping[str, ProcessRequest]
    kept: Mapping[str, Rejection]
    emptiness: str | None = None

    @property
    def is_kept_whole(self) -> bool:
        """Whether every request stays active, because no file counts."""
        return self.emptiness is not None


def in_force(
    catalog: Catalog,
    supplied: Mapping[str, ProcessRequest],
    *,
    allow_empty: bool = False,
    among: Collection[str] | None = None,
) -> InForce:
    """Merge a catalog with the requests that files `supplied` until now.

    An unreadable file keeps every request that it last supplied. A bad document keeps only
    its own request, even if it moved to another file. If the folder is missing, or several
    files vanish at once, everything is kept unless `allow_empty`: a failed mount looks
    like that. If `among` is given, the caller knows that all other names are unchanged.
    """
    if supplied and not allow_empty and (catalog.missing or _has_vanished(catalog, supplied)):
        return InForce(requests=supplied, kept={}, emptiness=_emptiness(catalog))
    by_file = {rejection.file: rejection for rejection in catalog.rejections}
    by_name = {name: rejection for rejection in catalog.rejections for name in rejection.names}
    kept = {}
    for name in (supplied if among is None else sorted(among)) if by_file else ():
        if name in supplied and name not in catalog.requests:
            own = by_file.get(supplied[name].source.file)
            is_own = own is not None and (own.whole or name in own.names)
            rejection = own if is_own else by_name.get(name)
            if rejection is not None:
                kept[name] = rejection
    requests = (
        {**catalog.requests, **{name: supplied[name] for name in kept}}
        if kept
        else catalog.requests
    )
    return InForce(requests=requests, kept=kept)


def way_back(emptiness: str | None) -> str:
    """Return what gets a folder's files read again; `emptiness` says why there are none."""
    return _WAYS_BACK.get(emptiness or "", "let the runner's user read it")


def _has_vanished(catalog: Catalog, supplied: Mapping[str, ProcessRequest]) -> bool:
    """Return whether several files are gone at once; an unreadable file is still there."""
    if catalog.files:
        return False
    unreadable = {rejection.file for rejection in catalog.rejections}
    gone = {request.source.file for request in supplied.values()} - unreadable
    return len(gone) > 1


def _emptiness(catalog: Catalog) -> str:
    is_empty = not catalog.rejections
    return catalog.absence or ("is empty" if is_empty else "has no readable request file")
