"""The API's description, for programs as an OpenAPI document and for people as a page."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from runner import __version__
from runner.web.api.answers import Json, Problem
from runner.web.api.schemas import components
from runner.web.rendering import rendered

router = APIRouter(include_in_schema=False)
_DESCRIPTION = """\
The Process Monitor for programs: what is configured, what ran, runs and comes.

Send a token of `runner token add` as `Authorization: Bearer TOKEN`. A token sees and does
what its role and its scope allow. Times are RFC 3339; durations are seconds. Fields with
the name of a field of the monitor log mean the same.
"""


@router.get("/openapi.json")
def openapi(request: Request) -> Json:
    """Answer with the API's description (OpenAPI 3.1)."""
    return Json(document_of(request.app))


@router.get("/", response_class=Response)
def reference(request: Request) -> Response:
    """Show the API's description to a person. Nothing is loaded from elsewhere."""
    document = document_of(request.app)
    routes = [
        _shown(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    paragraphs = _DESCRIPTION.strip().split("\n\n")
    return rendered("api_reference.html", paragraphs=paragraphs, routes=routes)


def _shown(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of an operation."""
    parameters = [
        {
            "name": each["name"],
            "place": f"{each['in']}{', required' if each.get('required') else ''}",
            "description": each.get("description") or each["schema"].get("description", ""),
        }
        for each in operation.get("parameters", ())
    ]
    answers = {code: each["description"] for code, each in operation["responses"].items()}
    return {
        "title": f"{method.upper()} {path}",
        "description": operation["description"],
        "parameters": parameters,
        "answers": answers,
    }


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the description of the routes of the API, made once."""
    known: dict[str, Any] | None = getattr(app.state, "openapi", None)
    if known is None:
        known = app.state.openapi = _made(app)
    return known


def _made(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="Runner",
        version=__version__,
        openapi_version="3.1.0",
        description=_DESCRIPTION,
        routes=app.routes,
    )
    paths = document["paths"].items()
    document["paths"] = {path: each for path, each in paths if path.startswith("/api/v1/")}
    described = document["components"]
    described["schemas"] |= components() | {"Problem": Problem.model_json_schema()}
    described["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    return document
