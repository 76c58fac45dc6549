"""What every answer of the API has in common: JSON, instants, and documented errors. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field
from starlette.responses import Response

from runner.history.seqs import FIRST, LAST
from runner.values import instant_text

Documented = dict[int | str, dict[str, Any]]
"""Answers by status, as FastAPI takes them."""


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What is wrong, in a sentence for people.")


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("it is out of range") from None


def _known(cursor: str) -> str:
    if not FIRST <= int(cursor) <= LAST:
        raise ValueError("it is not a cursor of this API")
    return cursor


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""An RFC 3339 time with an offset."""
Cursor = Annotated[str, Field(pattern=r"^-?[0-9]{1,19}$"), AfterValidator(_known)]
"""Where a page begins: the `next` of the page before it."""
Limit = Annotated[int, Field(ge=1, le=1000, description="Maximum number of items.")]


class Json(Response):
    """Data as JSON; instants are written as in the monitor log."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the body."""
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=_plain)
        return text.encode("utf-8", "replace")


def ok(schema: Mapping[str, Any], what: str, *others: int) -> Documented:
    """Return what a route answers: data of a schema, and errors, the usual ones and others."""
    return {200: body("application/json", schema, what)} | errors(*others)


def body(media_type: str, schema: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return an answer with a body."""
    return {"description": what, "content": {media_type: {"schema": schema}}}


def errors(*others: int) -> Documented:
    """Return the errors that every route may answer, and others of one route."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: body("application/problem+json", schema, _ERRORS[status])
        for status in sorted((401, 403, 422, 429, 503, *others))
    }


_ERRORS = {
    400: "The request makes no sense.",
    401: "A token is required.",
    403: "The token does not allow this.",
    404: "There is no such thing, or the token does not show it.",
    409: "The runner refuses this in its present state.",
    416: "The output does not have this range.",
    422: "A parameter is not understood.",
    429: "Too many failed logins.",
    503: "The runner, its store or the history index is not available now.",
}


def _plain(value: object) -> object:
    """Convert a value that JSON does not have. Raises TypeError: a bug."""
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"the API cannot answer with {value!r:.100}")
