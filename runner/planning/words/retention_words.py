"""How long the outputs of a request are kept, in words. Pure."""

from __future__ import annotations

from runner.requests.policies import Retention
from runner.values import duration_text, size_text


def retention_words(retention: Retention) -> str:
    """Return what a retention keeps.

    >>> from datetime import timedelta
    >>> month = timedelta(days=30)
    >>> retention_words(Retention(keep_for=month, keep_count=9))
    'for 30d, at most 9 outputs'
    >>> retention_words(Retention(keep_for=month, failures_keep_for=2 * month, keep_size=10**6))
    'for 30d, failures for 60d, of each at most 1MB'
    """
    spans = {"": retention.keep_for, "failures ": retention.failures_keep_for}
    parts = [f"{what}for {duration_text(span)}" for what, span in spans.items() if span is not None]
    bounds = []
    if retention.keep_count is not None:
        bounds.append(f"{retention.keep_count} outputs")
    if retention.keep_size is not None:
        bounds.append(size_text(retention.keep_size))
    if bounds:
        each = "of each " if retention.failures_keep_for is not None else ""
        parts.append(f"{each}at most {' and '.join(bounds)}")
    return ", ".join(parts)
