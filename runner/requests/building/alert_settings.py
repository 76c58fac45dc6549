"""From plain data that the schema accepts to receivers, quiet windows and pings. Pure."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import RuleError
from runner.requests.building.alert_keys import routes_in
from runner.requests.findings import nearest
from runner.requests.policies import Route
from runner.requests.receivers import (
    AlertSettings,
    Apprise,
    Email,
    QuietWindow,
    ReceivingProgram,
    RunnerPing,
    Way,
    Webhook,
)
from runner.timing.parsing import WEEKDAYS
from runner.timing.zones import zone_named

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from runner.requests.building.document_part import Part

_DAY_GROUPS = {"weekdays": frozenset(range(5)), "weekends": frozenset({5, 6})}
_EVERY_DAY = frozenset(range(7))


def alert_settings_of(settings: Part, folder: Path) -> AlertSettings:
    """Return what a settings file says about alerts; its findings go to `settings`.

    `folder` is the file's.
    """
    data = settings.data
    receivers = {name: _way_of(each, folder) for name, each in data.get("receivers", {}).items()}
    notify = routes_in(settings) or ()
    for index, route in enumerate(notify):
        if route.to not in receivers:
            settings.find(("notify", index, "to"), *unknown_receiver(route.to, receivers))
    if "notify" not in data and receivers:
        first = next(iter(receivers))
        notify = (Route(to=first),)
        if len(receivers) > 1:  # to choose one of them would be a guess, and silence a trap
            message = "`notify` is missing: it says which of the receivers hears of alerts"
            suggestion = f"for example notify: [{{to: {first}}}]"
            settings.find(("receivers",), message, suggestion, at_key=True)
    return AlertSettings(
        receivers=receivers,
        notify=notify,
        quiet=tuple(
            _quiet_of(settings.below("quiet", index), receivers)
            for index in range(len(data.get("quiet", ())))
        ),
        ping=_ping_of(settings.below("ping")) if "ping" in data else None,
        environment_file=folder / data["environment_file"] if "environment_file" in data else None,
    )


def unknown_receiver(name: str, receivers: Collection[str]) -> tuple[str, str | None]:
    """Return the message and the suggestion about a receiver that the settings lack."""
    if not receivers:
        return f"there is no receiver `{name}`", "define it under `receivers` in runner.yaml"
    names = ", ".join(sorted(receivers))
    return f"there is no receiver `{name}`", nearest(
        name, receivers
    ) or f"the receivers are {names}"


def _way_of(data: Mapping[str, Any], folder: Path) -> Way:
    match data:
        case {"email": email}:
            return Email(
                to=tuple(email["to"]),
                sender=email["from"],
                **{key: value for key, value in email.items() if key not in ("to", "from")},
            )
        case {"webhook": webhook}:
            return Webhook(**webhook)
        case {"apprise": apprise}:
            return Apprise(**apprise)
        case {"command": command}:
            return ReceivingProgram(command=tuple(command), directory=folder)
    raise AssertionError("the schema let an unknown receiver pass")


def _quiet_of(part: Part, receivers: Collection[str]) -> QuietWindow:
    data, zone = part.data, None
    try:
        zone = zone_named(data["timezone"]).key if "timezone" in data else None
    except RuleError as error:
        part.find(("timezone",), str(error), error.suggestion)
    for index, name in enumerate(data.get("receivers", ())):
        if name not in receivers:
            part.find(("receivers", index), *unknown_receiver(name, receivers))
    return QuietWindow(
        begins=time.fromisoformat(data["from"]),
        ends=time.fromisoformat(data["to"]),
        days=_days_of(data.get("days")),
        zone=zone,
        receivers=frozenset(data["receivers"]) if "receivers" in data else None,
    )


def _days_of(days: str | list[str] | None) -> frozenset[int]:
    if days is None:
        return _EVERY_DAY
    if isinstance(days, str):
        return _DAY_GROUPS[days]
    return frozenset(map(WEEKDAYS.index, days))


def _ping_of(part: Part) -> RunnerPing:
    every = part.duration("every", timedelta(seconds=60), above_zero=True)
    return RunnerPing(url_variable=part.data["url_variable"], every=every)
