"""Import Kubernetes CronJob manifests, v1 and v1beta1, alone or in a List. Pure.

Kubernetes runs an image; Runner runs a command of its own machine. So every imported
request is unscheduled until a person has checked its command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from runner.importing.imported import Import, ImportSettings, Remark, Severity, finished
from runner.importing.importers.kubernetes_cron_jobs import CronJob
from runner.importing.yaml_source import documents_of
from runner.requests.findings import DataPath

# Kinds of other controllers, such as CronWorkflow, that may contain a schedule.
_MAY_HAVE_SCHEDULE = re.compile("cron|schedul|job|list$", re.IGNORECASE)


def from_kubernetes(text: str, settings: ImportSettings, *, name: str) -> Import:
    """Read manifests. Raises RunnerError if the text is not YAML."""
    drafts, remarks, needs_zone = [], [], False
    for document in documents_of(text, name):
        for manifest, path in _manifests(document.data, ()):
            if manifest is None:
                continue
            line = document.spot(path).line
            kind = manifest.get("kind") if isinstance(manifest, dict) else None
            if kind == "CronJob":
                cron_job = CronJob(manifest, path, document, settings)
                drafts.append(cron_job.draft)
                needs_zone |= cron_job.needs_zone
            else:
                remarks.append(_other(kind, line))
    if needs_zone:
        remarks.append(settings.zone_remark("the kube-controller-manager, usually UTC"))
    return finished(drafts, remarks, settings)


def _manifests(data: object, path: DataPath) -> Iterator[tuple[dict[str, object] | None, DataPath]]:
    """Yield the manifests of a document and of lists in it; None for an empty document."""
    match data:
        case {"kind": str() as kind, "items": list() as items} if kind.endswith("List"):
            for index, item in enumerate(items):
                yield from _manifests(
                    _with_kind(item, kind.removesuffix("List")), (*path, "items", index)
                )
        case dict():
            yield data, path
        case None:
            yield None, path
        case _:
            yield {}, path


def _with_kind(item: object, kind: str) -> object:
    """Return an item of a list with its `kind`, which a CronJobList's items may omit."""
    return {"kind": kind, **item} if kind and isinstance(item, dict) else item


def _other(kind: object, line: int) -> Remark:
    """Return a remark on a manifest that is not a CronJob.

    It is a change if the kind may have a schedule, and otherwise (a Service, say) a note.
    """
    what = f"a {kind}" if isinstance(kind, str) else "not a manifest"
    message = f"this is {what}, not a CronJob, and is left out"
    if isinstance(kind, str) and not _MAY_HAVE_SCHEDULE.search(kind):
        return Remark(line=line, severity=Severity.NOTE, message=message)
    return Remark(
        line=line, severity=Severity.CHANGED, message=message, suggestion="write its request"
    )
