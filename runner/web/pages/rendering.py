"""The content of a page to HTML, with the filters of its templates.

All viewers with the same scope and role share a content for a second: a hundred of them
cost as much as one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from runner.monitor.names import short_id, who
from runner.values import rough_size_text
from runner.web.authentication import Identity
from runner.web.pages.drawing.svg import percent
from runner.web.pages.wording import gist, iso_text, short_duration, shown_status
from runner.web.shared import Shared
from runner.web.site import Site

_FRESH_S = 1.0
_MOST_KEPT = 128
_ENVIRONMENT = Environment(
    loader=PackageLoader("runner.web.pages", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
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

    def html(self) -> Markup:
        """Return the content as HTML."""
        template = _ENVIRONMENT.get_template(self.template)
        return Markup(
            template.render(
                self.values, title=self.title, is_live=self.is_live, every_s=self.every_s
            )
        )


class Contents:
    """The contents that viewers share for a second, by address and by what they may see."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[object, Shared[Rendered]] = OrderedDict()

    def rendered(self, key: object, compute: Callable[[], Content]) -> Rendered:
        """Return the HTML of a content, and its title."""
        with self._lock:
            shared = self._kept.pop(key, None) or Shared(lambda: _rendered(compute()), _FRESH_S)
            self._kept[key] = shared
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return shared.value()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A content as HTML."""

    title: str
    html: Markup


def _rendered(content: Content) -> Rendered:
    return Rendered(title=content.title, html=content.html())


def page_of(request: Request, site: Site, identity: Identity, rendered: Rendered) -> HTMLResponse:
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
            zone=site.places.zone,
        )
    )
