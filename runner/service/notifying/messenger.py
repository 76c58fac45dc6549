"""Makes messages of notices when they are due, and sends them until they arrive.

A message is committed before the sender gets it, and deleted with the record of its
arrival. So a runner that is killed in between sends it again, with the same id.
"""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import islice

from runner.monitor.event_facts import NotificationFacts
from runner.monitor.events import notification_failed, notification_sent
from runner.notifying.message import BETWEEN, Message, after_failure, composed, in_order, ready
from runner.notifying.notice import Notice, after_message, after_silence
from runner.notifying.quiet import quiet_until
from runner.notifying.sending.delivery import Delivery, DeliveryResult
from runner.notifying.wording import MOST_DETAILED, MessageContext
from runner.planning.alerts.alert import Alert
from runner.planning.alerts.routes import asks_for, routes_of
from runner.planning.coming_fires import coming_fires
from runner.requests.building.alert_settings import unknown_receiver
from runner.requests.receivers import AlertSettings
from runner.service.alerts.alerts import Alerts
from runner.service.alerts.pings import Pings
from runner.service.deciding.decision import Decision
from runner.service.deciding.decision_maker import DecisionMaker
from runner.service.notifying.sender_process import SenderProcess
from runner.service.recording.journal import Journal
from runner.service.registry import Registry
from runner.service.runner_settings import Settings
from runner.system.clock import Clock
from runner.values import new_id

_LOOK_EVERY_S = 60.0
"""How often everything is looked at again, because the clock may have stepped."""


class Messenger:
    """Sends messages and pings; the loop calls `advance` in each turn."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        pings: Pings,
        sender: SenderProcess,
        alerts: Alerts,
        registry: Registry,
        decisions: DecisionMaker,
        journal: Journal,
        zone: Callable[[], str],
    ) -> None:
        """`zone` returns the runner's zone, which may change."""
        self.settings = settings.alerts
        """Whom to notify, and how: those in force."""
        self._jobs, self._page = settings.jobs, settings.page
        self._clock = clock
        self._notices = alerts.notices
        self._pings = pings
        self._sender = sender
        self._alerts = alerts
        self._registry = registry
        self._decisions = decisions
        self._journal = journal
        self._zone = zone
        self._host = socket.gethostname()
        self._look_at_s = 0.0
        self._last_s: dict[str, float] = {}  # when each receiver last got a message
        self._sending: dict[str, Message] = {}  # by id

    @property
    def trouble(self) -> str | None:
        """Why a ping was not sent; None if all were."""
        return self._pings.trouble

    def use(self, settings: AlertSettings) -> None:
        """Put changed settings in force."""
        self.settings = settings
        self._alerts.use(settings.notify)
        self._pings.use(settings)

    def advance(self) -> None:
        """Take results, and send what is due."""
        for result in self._sender.take():
            if not self._pings.take_result(result):
                self._end(result)
        now_s = self._clock.elapsed_s()
        if self._notices.is_changed or self._look_at_s <= now_s:
            self._look()
        if self._sender.has_room():
            for delivery in self._pings.due(now_s):
                self._sender.begin(delivery)
                if not self._sender.has_room():
                    break

    def close(self) -> None:
        """Send the pings of the last executions, without waiting for it."""
        for delivery in self._pings.due(self._clock.elapsed_s()):
            self._sender.begin(delivery)
        self._sender.close()

    def next_s(self) -> float | None:
        """Return when `advance` has something to do, in elapsed seconds; None for never."""
        look_s = 0.0 if self._notices.is_changed else self._look_at_s
        times = (look_s, self._pings.next_s(), self._sender.next_s())
        return min((time_s for time_s in times if time_s is not None), default=None)

    def _look(self) -> None:
        """Make the messages that are due, send them, and note when the next one is."""
        self._notices.is_changed = False
        now, now_s = self._clock.now(), self._clock.elapsed_s()
        self._look_at_s = now_s + _LOOK_EVERY_S
        by_receiver: dict[str, list[Notice]] = defaultdict(list)
        self._notices.bring_within_reach(now)
        for notice in self._notices:
            by_receiver[notice.receiver].append(notice)
        for receiver in {*by_receiver, *self._notices.messages}:
            due = self._due(receiver, by_receiver[receiver], now, now_s)
            if due is None:
                continue
            if due > now:
                self._look_at_s = min(self._look_at_s, now_s + (due - now).total_seconds())
            elif receiver in self._notices.messages:
                self._send(self._notices.messages[receiver])
            else:
                self._make(receiver, by_receiver[receiver], now, now_s)

    def _due(
        self, receiver: str, notices: Iterable[Notice], now: datetime, now_s: float
    ) -> datetime | None:
        """Return when a receiver is to get its next message or the next attempt; None for
        never, or for a message on its way.
        """
        message = self._notices.messages.get(receiver)
        if message is not None:
            if message.id in self._sending:
                return None
            due = message.due
        else:
            dues = [notice.due for notice in notices]
            if not dues:
                return None
            wait_s = self._last_s.get(receiver, -BETWEEN.total_seconds()) - now_s
            due = max(min(dues), now + timedelta(seconds=wait_s) + BETWEEN)
        windows = self.settings.quiet
        return quiet_until(max(due, now), receiver, windows, self._zone()) or due

    def _make(self, receiver: str, notices: list[Notice], now: datetime, now_s: float) -> None:
        """Commit the message about what is due, and send it."""
        decision = self._decisions.begin()
        is_open = {alert.id: alert for alert in self._alerts.open()}
        taken = []
        for notice in ready(notices, now):
            alert = is_open.get(notice.alert)
            until = None if alert is None else alert.acknowledged_until
            if notice.is_news:
                taken.append(notice)
            elif alert is None or not self._is_routed(alert, receiver):
                # Its request has another name now, or names this receiver no longer.
                self._notices.write(notice.id, None, decision.batch)
            elif until is not None and now < until:
                later = after_silence(notice, until, now)
                self._notices.write(notice.id, later, decision.batch)
            else:
                taken.append(notice)
        if taken:
            self._compose(receiver, in_order(taken), now, decision)
        if self._decisions.commit(decision) and taken:
            self._last_s[receiver] = now_s
        self._notices.is_changed = True

    def _is_routed(self, alert: Alert, receiver: str) -> bool:
        request = self._registry.requests.get(alert.request or "")
        routes = routes_of(request, self._alerts.routes)
        return any(route.to == receiver and asks_for(route, alert) for route in routes)

    def _compose(
        self, receiver: str, notices: list[Notice], now: datetime, decision: Decision
    ) -> None:
        message = composed(new_id(), notices, now, self._setting(notices[:MOST_DETAILED], now))
        for notice in notices:
            later = after_message(notice, message.id, now)
            self._notices.write(notice.id, later, decision.batch)
        if receiver in self.settings.receivers:
            decision.batch.notifications[message.id] = message.stored()
            return
        why, hint = unknown_receiver(receiver, self.settings.receivers)
        facts = _facts(message, f"{why} ({hint})")
        decision.record(notification_failed(facts, retry_at=None))

    def _send(self, message: Message) -> None:
        way = self.settings.receivers.get(message.receiver)
        if way is None:  # the settings have changed since
            why, hint = unknown_receiver(message.receiver, self.settings.receivers)
            self._give_up(message, f"{why} ({hint})")
            return
        if not self._sender.has_room():
            self._look_at_s = self._clock.elapsed_s() + 1.0
            return
        self._sending[message.id] = message
        file = self.settings.environment_file
        self._sender.begin(
            Delivery(
                id=message.id,
                way=way,
                payload=message.payload(self._host),
                environment_file=None if file is None else str(file),
            )
        )

    def _end(self, result: DeliveryResult) -> None:
        """Note the end of an attempt; the next commit has it with its record."""
        message = self._sending.pop(result.id)
        now = self._clock.now()
        if result.error is None:
            self._journal.note_notification(message.id, None)
            del self._notices.messages[message.receiver]
            self._journal.record(notification_sent(_facts(message, result.note)), now)
        elif (later := after_failure(message, now)) is None:
            self._give_up(message, result.error)
        else:
            self._journal.note_notification(message.id, later.stored())
            self._notices.messages[message.receiver] = later
            failed = notification_failed(_facts(message, result.error), retry_at=later.due)
            self._journal.record(failed, now)
        self._notices.is_changed = True

    def _give_up(self, message: Message, why: str) -> None:
        self._journal.note_notification(message.id, None)
        del self._notices.messages[message.receiver]
        failed = notification_failed(_facts(message, why), retry_at=None)
        self._journal.record(failed, self._clock.now())

    def _setting(self, notices: Iterable[Notice], now: datetime) -> MessageContext:
        requests, states = self._registry.requests, self._registry.states
        fires: dict[str, datetime] = {}
        for name in (notice.facts.request for notice in notices):
            if name is not None and name in requests and name in states:
                held = self._registry.pauses.held(requests[name])
                coming = coming_fires(requests[name], states[name], now, held)
                fires.update((name, fire) for fire in islice(coming, 1))
        return MessageContext(
            host=self._host,
            jobs=str(self._jobs.absolute()),
            zone=self._zone(),
            next_fires=fires,
            page=self._page,
        )


def _facts(message: Message, words: str | None) -> NotificationFacts:
    return NotificationFacts(
        notification=message.id,
        receiver=message.receiver,
        attempt=message.attempt,
        alerts=message.names,
        message=words,
    )
