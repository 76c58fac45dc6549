"""The content of a page to HTML, with the filters of its templates.

All viewers with the same scope and role share a content for a second: a hundred of them
cost as much as one.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
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
from runner.web.site import Site

_FRESH_S = 1.0
_STALE_S = 3.0
_MOST_KEPT = 128
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

    def html(self) -> Markup:
        """Return the content as HTML."""
        template = _ENVIRONMENT.get_template(self.template)
        return Markup(
            template.render(
                self.values,
                title=self.title,
                is_live=self.is_live,
                every_s=self.every_s,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A content as HTML."""

    title: str
    html: Markup


class Contents:
    """The contents that viewers share, by address and by what they may see. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[object, _Kept] = OrderedDict()

    def rendered(self, key: object, compute: Callable[[], Content]) -> Rendered:
        """Return the HTML of a content, at most a second old, or little more while another
        thread computes it anew.
        """
        with self._lock:
            kept = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return kept.value(compute)


class _Kept:
    """One content. Only the thread that computes it waits, unless it is rather old."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: tuple[Rendered, float] | None = None

    def value(self, compute: Callable[[], Content]) -> Rendered:
        if (known := self._younger_than(_FRESH_S)) is not None:
            return known
        stale = self._younger_than(_STALE_S)
        if not self._lock.acquire(blocking=stale is None):
            assert stale is not None
            return stale
        try:
            if (known := self._younger_than(_FRESH_S)) is not None:
                return known
            began_s = time.monotonic()
            content = compute()
            fresh = Rendered(title=content.title, html=content.html())
            self._known = (fresh, began_s)
            return fresh
        except BaseException:
            self._known = None  # nobody may take the old content for a new one
            raise
        finally:
            self._lock.release()

    def _younger_than(self, age_s: float) -> Rendered | None:
        known = self._known
        return known[0] if known is not None and time.monotonic() - known[1] < age_s else None


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
