"""Templates to HTML. Every value is escaped, wherever it comes from."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from runner.values import neutral


def environment(package: str) -> Environment:
    """Return an environment for the templates of a package."""
    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        auto_reload=False,  # else each use looks whether the template's file has changed
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def rendered(template: str, /, *, status: int = 200, **values: object) -> HTMLResponse:
    """Return a template of the server's own, filled in, as a response."""
    return HTMLResponse(_OWN.get_template(template).render(values), status)


def _visible(value: object) -> object:
    """Return a text with escapes for what no person sees, such as a change of direction.

    A surrogate could not be sent at all. Tabs and the ends of lines stay.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    lines = value.split("\n")
    return "\n".join("\t".join(map(neutral, line.split("\t"))) for line in lines)


_OWN = environment("runner.web")
