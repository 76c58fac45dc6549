"""A timing typed on the command line: a cron expression, or a schedule in YAML. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.errors import Problem, RunnerError
from runner.requests.building.request import RequestDraft, built
from runner.requests.findings import Finding
from runner.requests.model import Source, Timing
from runner.requests.schema.checking import findings_in
from runner.requests.yaml.document import documents_in

_NAME = "expression"
_TIMINGS = {"schedule", "run_later", "run_immediately"}


def is_expression(text: str) -> bool:
    """Return whether an argument is an expression rather than a name or a glob.

    An expression goes before a glob: a text without a letter, such as `*/5`, is one with a
    mistake, except for a lone `*`.

    >>> is_expression("0 2 * * *"), is_expression("*/5"), is_expression("nightly-*")
    (True, True, False)
    """
    if any(sign in text for sign in " \t\n{:@,"):
        return True
    return "*" in text and text != "*" and not any(map(str.isalpha, text))


def timing_from(text: str, *, zone: str) -> Timing:
    """Parse an expression into a timing.

    Raises RunnerError that lists every problem of the expression and how to fix it.
    """
    data: dict[str, Any] = {
        "name": _NAME,
        "process": {"command": ["true"]},
        "timing": _timing_data(text),
    }
    if findings := findings_in(data):
        raise _wrong(findings)
    match data["timing"]:
        case {"schedule": {"except": str()}}:
            raise RunnerError(
                "the path of an `except` file is relative to the folder of a request: "
                "use `runner explain NAME`, or list the dates"
            )
    draft = RequestDraft(
        data=data, name=_NAME, folder="/", source=Source(file=_NAME, line=1, sha256="")
    )
    request, wrong = built(draft, default_zone=zone)
    if request is None or request.timing is None:
        raise _wrong(wrong)
    return request.timing


def _timing_data(text: str) -> object:
    """Return the data of a `timing`. The `schedule` key itself may be left out."""
    if ":" not in text:
        return {"schedule": {"frequency": "cron", "expression": text}}
    documents = documents_in(text.encode(errors="replace"), _NAME)
    if isinstance(documents, Problem):
        raise RunnerError(_sentence(documents.message, documents.suggestion))
    if len(documents) != 1 or not isinstance(documents[0].data, dict):
        raise RunnerError(
            f"{text!r} is neither a cron expression nor a mapping like "
            "{frequency: daily, at: '02:00'}"
        )
    if documents[0].findings:
        raise _wrong(documents[0].findings)
    data = documents[0].data
    if "timing" in data:
        return data["timing"]
    return data if data.keys() & _TIMINGS else {"schedule": data}


def _wrong(findings: Iterable[Finding]) -> RunnerError:
    return RunnerError(
        "\n".join(dict.fromkeys(_sentence(each.message, each.suggestion) for each in findings))
    )


def _sentence(message: str, suggestion: str | None) -> str:
    return f"{message} ({suggestion})" if suggestion else message
