"""From the plain data of a schema-valid timing to rules and instants. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from runner.timing.rules import Rule


def parse_rule(data: Mapping[str, Any], *, default_zone: str, excepted: frozenset[date] = frozenset()) -> Rule:
    """Build the rule of a `schedule` mapping that the JSON schema has accepted (`except` is read by the caller).

    Raises RuleError with the field at fault: `at` missing and `start` without a time of day, a cron expression that
    cannot be read, repetitions without start, a rule that can never fire, finish before start, an unknown zone.
    """
    raise NotImplementedError
