"""The open alerts in the store's rows, for commands. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from runner.lifecycle import Check
from runner.planning.alerts.alert import Alert
from runner.planning.alerts.check_states import check_from
from runner.store.rows import AlertRow


def open_alerts(rows: Iterable[AlertRow]) -> tuple[Alert, ...]:
    """Return the open alerts, the oldest first."""
    alerts = (
        check_from(row.state).alert((row.request or None, Check(row.check_name))) for row in rows
    )
    found = [alert for alert in alerts if alert is not None]
    return tuple(sorted(found, key=lambda alert: (alert.since, alert.request or "", alert.check)))
