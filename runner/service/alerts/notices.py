"""The notices and messages of a runner, as the store has them.

Only a commit changes them: a batch gets the new ones, and `accept` puts them in force.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from runner.lifecycle import Check
from runner.notifying.message import LONGEST_DELAY, Message, message_in
from runner.notifying.notice import Notice, closed, counted, notice_in, opened, within_reach
from runner.planning.alerts.alert import AlertChange, Change
from runner.planning.alerts.routes import asks_for, routes_of
from runner.requests.model import ProcessRequest
from runner.requests.policies import Route
from runner.store.rows import Batch

_COUNTED = frozenset({Check.FAILURE, Check.SKIPPED})
"""The checks whose alerts go to a route only when the count reaches its `after`."""


class Notices:
    """What each receiver has heard and will hear, and the message on its way to it.

    `routes` are the runner's, for itself and for requests without `notify`.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.messages: dict[str, Message] = {}
        """By receiver: at most one is on its way to each."""
        self.is_changed = True
        """Whether `accept` changed anything since this was last set to False."""
        self._routes = routes
        self._notices: dict[str, dict[str, Notice]] = defaultdict(dict)  # by alert, then id
        self._drafts: dict[str, dict[str, tuple[str | None, Notice | None]]] = defaultdict(dict)
        """What was written to a batch, as text and as value, like `_notices`."""

    def use(self, routes: Sequence[Route]) -> None:
        """Put other routes of the runner in force; messages may be due anew."""
        self._routes = routes
        self.is_changed = True

    def load(self, rows: Mapping[str, str]) -> None:
        """Take over what a former runner left in the store.

        Raises ValueError, KeyError or TypeError for a row that no runner wrote.
        """
        for name, text in rows.items():
            self._put(name, _value_of(text))

    def bring_within_reach(self, now: datetime) -> None:
        """Move the times that lie too far ahead since the clock stepped back."""
        for notices in self._notices.values():
            notices.update({name: within_reach(each, now) for name, each in notices.items()})
        for receiver, message in self.messages.items():
            due = min(message.due, now + LONGEST_DELAY)
            self.messages[receiver] = replace(message, due=due)

    def __iter__(self) -> Iterator[Notice]:
        for notices in self._notices.values():
            yield from notices.values()

    def add(
        self, changes: Sequence[AlertChange], requests: Mapping[str, ProcessRequest], batch: Batch
    ) -> None:
        """Add the notices of changed alerts to `batch`."""
        for change in changes:
            known = self._of(change.alert.id, batch)
            request = requests.get(change.alert.request or "")
            for name, notice in _after(change, known, routes_of(request, self._routes)):
                self.write(name, notice, batch)

    def write(self, name: str, notice: Notice | None, batch: Batch) -> None:
        """Add a notice to a batch; None deletes it."""
        text = None if notice is None else notice.stored()
        batch.notifications[name] = text
        self._drafts[_alert_in(name)][name] = text, notice

    def accept(self, batch: Batch) -> None:
        """Put what was committed in force."""
        for name, text in batch.notifications.items():
            self.is_changed = True
            draft = self._drafts.get(_alert_in(name), {}).get(name)
            if text is None:
                self._drop(name)
            elif draft is not None and draft[0] is text and draft[1] is not None:
                self._put(name, draft[1])  # saves parsing the text
            else:
                self._put(name, _value_of(text))
        self._drafts.clear()

    def _of(self, alert: str, batch: Batch) -> Mapping[str, Notice]:
        """Return the notices of an alert by id, with those of the batch on top."""
        known = dict(self._notices.get(alert, {}))
        for name, (text, notice) in self._drafts.get(alert, {}).items():
            if name not in batch.notifications or batch.notifications[name] is not text:
                continue  # of a batch that the store refused
            known.pop(name, None)
            if notice is not None:
                known[name] = notice
        return known

    def _put(self, name: str, value: Notice | Message) -> None:
        if isinstance(value, Message):
            self.messages[value.receiver] = value
        else:
            self._notices[value.alert][name] = value

    def _drop(self, name: str) -> None:
        self.messages = {key: each for key, each in self.messages.items() if each.id != name}
        alert = _alert_in(name)
        if alert in self._notices:
            self._notices[alert].pop(name, None)
            if not self._notices[alert]:
                del self._notices[alert]


def _after(
    change: AlertChange, known: Mapping[str, Notice], routes: Iterable[Route]
) -> Iterator[tuple[str, Notice | None]]:
    """Yield the notices of an alert that a change of it makes or changes."""
    if change.change is Change.CLOSED:
        yield from ((name, closed(notice, change)) for name, notice in known.items())
        return
    yield from ((name, counted(notice, change)) for name, notice in known.items())
    for route in routes:
        notice = opened(change, route)
        if notice.id not in known and _is_for(change, route):
            yield notice.id, notice


def _is_for(change: AlertChange, route: Route) -> bool:
    alert = change.alert
    is_reached = alert.check not in _COUNTED or alert.count >= route.after
    return is_reached and asks_for(route, alert)


def _alert_in(name: str) -> str:
    """Return the alert's id in a notice's id."""
    return name.rpartition("@")[0]


def _value_of(text: str) -> Notice | Message:
    data = json.loads(text)
    return notice_in(data["notice"]) if "notice" in data else message_in(data["message"])
