"""Webhooks and pings: requests over HTTP. Touches the network."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from runner import __version__
from runner.notifying.sending.delivery import Ping
from runner.notifying.sending.variables import SendError, Variables
from runner.requests.receivers import Webhook

_WEBHOOK_S, _PING_S = 20.0, 8.0
"""How long a server may be silent."""
_PAUSES_S = (0.5, 1.5)
"""Between the attempts of a ping."""
_AGENT = f"runner/{__version__}"


class _NoRedirects(HTTPRedirectHandler):
    """Reports a redirect as an error, because following it would turn POST into GET."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def post(webhook: Webhook, payload: Mapping[str, Any], variables: Variables) -> None:
    """Send a message to a webhook. Raises SendError."""
    request = Request(
        variables.url(webhook.url_variable),
        data=json.dumps(payload, ensure_ascii=False).encode(errors="replace"),
        method=webhook.method,
        headers={
            "Content-Type": "application/json; charset=utf-8",
            "Idempotency-Key": str(payload["id"]),
            "User-Agent": _AGENT,
        },
    )
    _open(request, _WEBHOOK_S)


def ping(target: Ping, variables: Variables) -> None:
    """Send a ping, with two more attempts if it fails. Raises SendError."""
    url = ping_url(variables.url(target.url_variable), target)
    request = Request(url, headers={"User-Agent": _AGENT})
    for pause_s in _PAUSES_S:
        try:
            return _open(request, _PING_S)
        except SendError:
            time.sleep(pause_s)
    return _open(request, _PING_S)


def ping_url(url: str, target: Ping) -> str:
    """Return the URL of a ping, as healthchecks.io defines it.

    >>> ping_url("https://hc-ping.com/key?create=1", Ping(url_variable="U", suffix="/start"))
    'https://hc-ping.com/key/start?create=1'
    """
    parts = urlsplit(url)
    run = f"rid={target.execution}" if target.execution else ""
    query = "&".join(filter(None, (parts.query, run)))
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + target.suffix, query=query))


def _open(request: Request, timeout_s: float) -> None:
    opener = build_opener(*([_NoRedirects] if request.data else []))
    try:
        answer: HTTPResponse
        with opener.open(request, timeout=timeout_s) as answer:
            answer.read(1)
    except HTTPError as error:
        with error:
            raise SendError(f"the server answered {error.code} {error.reason}") from None
    except TimeoutError:
        raise SendError(f"no answer within {timeout_s:g} s") from None
    except URLError as error:
        raise SendError(_words(error.reason, timeout_s)) from None
    except (OSError, HTTPException, ValueError) as error:
        raise SendError(_words(error, timeout_s)) from None


def _words(reason: object, timeout_s: float) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__
