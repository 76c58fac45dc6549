"""`retention`, in a request or in the settings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.requests.policies import NO_RETENTION, Retention

if TYPE_CHECKING:
    from runner.requests.building.document_part import Part


def retention_of(document: Part) -> Retention:
    """Return how long outputs are kept according to a document; it may set nothing."""
    if "retention" not in document.data:
        return NO_RETENTION
    part = document.below("retention")
    return Retention(
        keep_for=part.duration("keep_for", None),
        failures_keep_for=part.duration("failures_keep_for", None),
        keep_count=part.data.get("keep_count"),
        keep_size=part.size("keep_size"),
    )
