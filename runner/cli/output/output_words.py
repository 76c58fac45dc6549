"""What is kept of a request's outputs, as fields and in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from runner.cli.output.fitting import moment_text
from runner.planning.retention import EndedExecution
from runner.values import counted, rough_size_text


def outputs_item(newest_first: Iterable[EndedExecution]) -> dict[str, Any]:
    """Return the number of executions with an output, its bytes, and the oldest one's end."""
    left = [each for each in newest_first if each.size is not None]
    if not left:
        return {}
    return {
        "executions": len(left),
        "bytes": sum(each.size or 0 for each in left),
        "oldest": datetime.fromtimestamp(left[-1].ended_s, UTC),
    }


def outputs_words(item: Mapping[str, Any], zone: str) -> str:
    """Return the fields of `outputs_item` in words."""
    executions = counted(item["executions"], "execution")
    oldest = moment_text(item["oldest"], zone)
    return f"of {executions}, {rough_size_text(item['bytes'])}, the oldest of {oldest}"
