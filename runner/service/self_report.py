"""What a runner says of itself in its records. Pure, but for its own process id."""

from __future__ import annotations

import os
from typing import Any

from runner import __version__
from runner.service.catalog_change import CatalogChange, first_runs
from runner.service.settings import Settings


def about(settings: Settings, *, git_commit: str | None, requests: int) -> dict[str, Any]:
    """Return the fields that all records of a runner have."""
    return {
        "pid": os.getpid(),
        "version": __version__,
        "jobs": str(settings.jobs),
        "state": str(settings.state),
        "git_commit": git_commit,
        "requests": requests,
    }


def started_fields(change: CatalogChange, settings: Settings, *, is_new: bool) -> dict[str, Any]:
    """Return the fields of a `runner.started` record; `is_new` says that the store has never seen a request."""
    message = first_runs(change) if is_new else None
    return {
        "monitor_log": str(settings.monitor_log),
        "requests": len(change.in_force.requests),
        "rejected": [rejection.file for rejection in change.reading.catalog.rejections],
        "git_commit": change.reading.git_commit,
        "message": change.summary if change.in_force.is_kept_whole else message,
    }
