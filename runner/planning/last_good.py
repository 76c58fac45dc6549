"""Which definitions are in force: the catalog's, and for what it rejects the last good ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.requests.catalog import Catalog, Rejection
from runner.requests.model import ProcessRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The requests that Runner works with, and those among them that live on although their file is bad.

    `is_kept_whole` says that nothing at all was found and therefore everything was kept.
    """

    requests: Mapping[str, ProcessRequest]
    kept: Mapping[str, Rejection]
    is_kept_whole: bool = False


def in_force(catalog: Catalog, supplied: Mapping[str, ProcessRequest], *, allow_empty: bool = False) -> InForce:
    """Merge a catalog with the requests `supplied` until now.

    An unreadable file keeps all that it last supplied, a bad document only itself. When the folder is gone, or every
    one of several files has vanished at once, all is kept unless `allow_empty`: that is how a failed mount looks.
    """
    if supplied and not allow_empty and (catalog.missing or _has_vanished(catalog, supplied)):
        return InForce(requests=supplied, kept={}, is_kept_whole=True)
    requests, kept = dict(catalog.requests), {}
    rejected_by_file: dict[str, list[Rejection]] = {}
    for rejection in catalog.rejections:
        rejected_by_file.setdefault(rejection.file, []).append(rejection)
    for name, request in supplied.items() if rejected_by_file else ():
        for rejection in rejected_by_file.get(request.source.file, ()):
            if name not in requests and (rejection.whole or name in rejection.names):
                requests[name], kept[name] = request, rejection
    return InForce(requests=requests, kept=kept)


def _has_vanished(catalog: Catalog, supplied: Mapping[str, ProcessRequest]) -> bool:
    return catalog.files == 0 and len({request.source.file for request in supplied.values()}) > 1
