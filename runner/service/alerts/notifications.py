"""Where the changes of alerts leave for the people who must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from runner.planning.alerts.alert import AlertChange
from runner.requests.model import ProcessRequest
from runner.store.rows import Batch


class Notifications(Protocol):
    """Turns changes of alerts into rows of the store, which a sender delivers later."""

    def add(
        self, changes: Sequence[AlertChange], requests: Mapping[str, ProcessRequest], batch: Batch
    ) -> None:
        """Add to `batch` what notifies people of `changes`.

        The batch is the one that opens or closes the alerts, so the notification is durable
        if and only if the change is. A refused commit drops the batch, and a later decision
        repeats the call: keep no state here.
        """


class NoNotifications:
    """Notifies nobody."""

    def add(
        self, changes: Sequence[AlertChange], requests: Mapping[str, ProcessRequest], batch: Batch
    ) -> None:
        """Add nothing."""
