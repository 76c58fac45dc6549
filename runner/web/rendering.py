"""Templates to HTML. Every value is escaped, wherever it comes from."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

_ENVIRONMENT = Environment(
    loader=ChoiceLoader(
        [PackageLoader("runner.web.pages", "templates"), PackageLoader("runner.web", "templates")]
    ),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def rendered(template: str, /, *, status: int = 200, **values: object) -> HTMLResponse:
    """Return a template, filled in, as a response."""
    return HTMLResponse(_ENVIRONMENT.get_template(template).render(values), status)
