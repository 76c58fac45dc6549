"""What is kept of a request's outputs, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.cli.output.fitting import moment_text
from runner.values import counted, rough_size_text


def outputs_words(item: Mapping[str, Any], zone: str) -> str:
    """Return the fields of `outputs` in `request_details` in words."""
    executions = counted(item["executions"], "execution")
    oldest = moment_text(item["oldest"], zone)
    return f"of {executions}, {rough_size_text(item['bytes'])}, the oldest of {oldest}"
