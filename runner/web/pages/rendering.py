"""The content of a page to HTML, with the filters of its templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from runner.monitor.names import short_id, who
from runner.values import rough_size_text
from runner.web.identity.authentication import Identity
from runner.web.pages.drawing.svg import percent
from runner.web.pages.wording import gist, iso_text, short_duration, shown_status
from runner.web.rendering import environment

_ENVIRONMENT = environment("runner.web.pages")
_ENVIRONMENT.filters |= {
    "duration": short_duration,
    "gist": gist,
    "iso": iso_text,
    "percent": percent,
    "short_id": short_id,
    "size": rough_size_text,
    "status": shown_status,
    "urlencode": lambda text: quote(str(text), safe=""),
    "who": who,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is inside a page. `every_s` is how often it is fetched anew without an event."""

    template: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    is_live: bool = True
    every_s: int | None = None

    def rendered(self, zone: str) -> Rendered:
        """Return the content as HTML, for a page that names the zone of its times."""
        html = _ENVIRONMENT.get_template(self.template).render(
            self.values, title=self.title, is_live=self.is_live, every_s=self.every_s
        )
        return Rendered(title=self.title, html=Markup(html), zone=zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A content as HTML."""

    title: str
    html: Markup
    zone: str


def page_of(request: Request, identity: Identity, rendered: Rendered) -> HTMLResponse:
    """Return a whole page; only its content for the script, which asks for that."""
    if request.headers.get("x-part") == "main":
        return HTMLResponse(rendered.html)
    page = _ENVIRONMENT.get_template("page.html")
    return HTMLResponse(
        page.render(
            title=rendered.title,
            main=rendered.html,
            here=request.url.path,
            viewer=identity.viewer,
            csrf=identity.session.csrf if identity.session else None,
            zone=rendered.zone,
        )
    )
