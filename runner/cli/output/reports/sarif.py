"""The SARIF 2.1.0 format (OASIS) of code scanning and editors.

Each key of a request, by its dotted path, is a rule, described as in the schema. A
problem violates the rule of the nearest existing key. A problem of a whole document or
file violates `request`.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from runner import __version__
from runner.cli.output.reports import below_here
from runner.cli.output.tables import json_text
from runner.resources import schema_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.cli.output.reports import Checked
    from runner.errors import Problem

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_WHOLE = "request"
Json = dict[str, Any]


def lines(checked: Checked) -> Iterator[str]:
    """Yield the lines of the log, which has one run."""
    named = [(_rule(problem.path), problem, "error") for problem in checked.problems]
    named += [(_rule(caution.path), caution, "warning") for caution in checked.cautions]
    rules = {
        identity: number
        for number, identity in enumerate(sorted({identity for identity, *_ in named}))
    }
    driver = {
        "name": "runner",
        "version": __version__,
        "rules": [_described(identity) for identity in rules],
    }
    run = {
        "tool": {"driver": driver},
        # Columns count characters, not UTF-16 units, which are SARIF's default.
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(problem, identity, rules[identity], level) for identity, problem, level in named
        ],
    }
    yield from json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2).split(
        "\n"
    )


def _result(problem: Problem, rule: str, index: int, level: str) -> Json:
    text = f"{problem.message}\n{problem.suggestion}" if problem.suggestion else problem.message
    region = {"startLine": problem.line, "startColumn": problem.column}
    return {
        "ruleId": rule,
        "ruleIndex": index,
        "level": level,
        "message": {"text": text},
        "locations": [
            {"physicalLocation": {"artifactLocation": _artifact(problem.file), "region": region}}
        ],
    }


def _artifact(file: str) -> Json:
    name = below_here(file)
    return {"uri": Path(name).as_uri() if name.startswith("/") else quote(name)}


def _rule(path: str) -> str:
    """Return the longest prefix of a problem's path that is a key of the schema."""
    schema, known = _schema(), []
    for key in re.sub(r"\[\d+\]", "", path).split("."):
        if key not in _keys(schema):
            break
        schema = _keys(schema)[key]
        known.append(key)
    return ".".join(known) or _WHOLE


def _described(rule: str) -> Json:
    schema = _schema()
    for key in rule.split(".") if rule != _WHOLE else ():
        schema = _keys(schema)[key]
    return {"id": rule, "shortDescription": {"text": schema["description"]}}


def _keys(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keys of a sub-schema. If it allows alternatives, take those of the mapping."""
    keys: Mapping[str, Any] = schema.get("properties") or schema.get("else", {}).get(
        "properties", {}
    )
    return keys


@cache
def _schema() -> Mapping[str, Any]:
    schema: Mapping[str, Any] = json.loads(schema_text("process-request"))
    return schema
