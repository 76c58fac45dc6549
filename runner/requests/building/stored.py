"""A request as the store keeps it, and back. Pure."""

from __future__ import annotations

from collections.abc import Container

from runner.errors import RunnerError
from runner.requests.building.request import built, draft_from
from runner.requests.model import ProcessRequest
from runner.requests.schema.checking import findings_in


def definition_text(request: ProcessRequest) -> str:
    """Return a request's definition for the store: data, folder, source, dates of files.

    The dates are part of it although many requests share a file of them, so a definition
    says on its own what the last good version was. To keep the dates once, the runner, the
    read-only commands, the web and the cache would all have to look them up, and the store
    to know which ones are still used. A thousand requests with 30 holidays take 0.5 MB that
    way; with 4,000 dates it is 71 MB.
    """
    return request.source.definition


def request_from_definition(
    text: str, *, default_zone: str, accepted: Container[str] = frozenset()
) -> ProcessRequest:
    """Rebuild the request of a stored definition.

    A definition in `accepted` was validated by this version before and is not validated
    again. Raises RunnerError if this version cannot build it.
    """
    try:
        draft = draft_from(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunnerError(f"a stored definition cannot be read: {error}") from error
    findings = () if text in accepted else findings_in(draft.data)
    if not findings:
        request, findings = built(draft, default_zone=default_zone)
        if request is not None:
            return request
    reasons = "; ".join(finding.message for finding in findings[:3])
    raise RunnerError(
        f"the stored definition of {draft.name} is not valid in this version: {reasons}"
    )
