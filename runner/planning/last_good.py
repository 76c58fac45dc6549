"""Which definitions are in force: the catalog's, and for what it rejects the last good ones. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from runner.requests.catalog.reader import Catalog, Rejection
from runner.requests.model import ProcessRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The requests that Runner works with, and those among them that live on although
    their file is bad.

    `is_kept_whole` says that nothing at all was found and therefore everything was kept.
    """

    requests: Mapping[str, ProcessRequest]
    kept: Mapping[str, Rejection]
    is_kept_whole: bool = False


def in_force(
    catalog: Catalog,
    supplied: Mapping[str, ProcessRequest],
    *,
    allow_empty: bool = False,
    among: Collection[str] | None = None,
) -> InForce:
    """Merge a catalog with the requests `supplied` until now; of others than `among`,
    if given, both say the same.

    An unreadable file keeps all that it last supplied, a bad document only itself, also
    in another file than before. When the folder is gone, or every one of several files
    has vanished at once, all is kept unless `allow_empty`: that is how a failed mount
    looks.
    """
    if supplied and not allow_empty and (catalog.missing or _has_vanished(catalog, supplied)):
        return InForce(requests=supplied, kept={}, is_kept_whole=True)
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


def _has_vanished(catalog: Catalog, supplied: Mapping[str, ProcessRequest]) -> bool:
    if catalog.files:
        return False
    files = (request.source.file for request in supplied.values())
    first = next(files, None)
    return any(file != first for file in files)
