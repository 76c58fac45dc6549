"""The services that the library apprise knows. Touches the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.installation import missing_extra
from runner.notifying.sending.variables import SendError, Variables
from runner.requests.receivers import Apprise


def notify(target: Apprise, payload: Mapping[str, Any], variables: Variables) -> None:
    """Send a message to the service of an Apprise URL. Raises SendError."""
    try:
        import apprise
    except ImportError:
        raise SendError(missing_extra("alerts")) from None
    service = apprise.Apprise()
    if not service.add(variables.value(target.url_variable)):
        raise SendError(f"the variable {target.url_variable} does not hold an Apprise URL")
    if not service.notify(title=payload["subject"], body=payload["text"]):
        raise SendError("the service did not take the message")
