"""A message: what one receiver gets at once, and how often the runner tries to send it. Pure.

A message never changes. Each attempt to send it has the same id and the same content, so
a receiver that gets it twice can see that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from runner.notifying.notice import Notice, Stage
from runner.notifying.wording import MessageContext, subject_of, text_of
from runner.values import instant_text, parse_instant

BETWEEN = timedelta(minutes=1)
"""The time between two messages to one receiver."""
FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)
MOST_ATTEMPTS = 30
"""The delays before the 30th attempt are 24 h in total: 1, 2, 4 … 32 minutes, then hours."""
_MOST_LISTED = 100
"""How many alerts the payload lists; `alerts_count` counts all of them."""
_EVENTS = {
    Stage.OPENING: "opened",
    Stage.OPEN: "repeated",
    Stage.BRIEF: "closed",
    Stage.CLOSING: "closed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message on its way. `attempt` counts from 1; it is the next one, and due at `due`."""

    id: str
    receiver: str
    subject: str
    text: str
    threads: tuple[str, ...]
    """The ids of the earlier messages about the same alerts."""
    names: tuple[str, ...]
    """The alerts, as `AlertFacts.name` names them."""
    alerts: tuple[Mapping[str, Any], ...]
    """The alerts for programs."""
    attempt: int = 1
    due: datetime

    def stored(self) -> str:
        """Return the JSON text for the store."""
        return json.dumps(
            {"message": asdict(self) | {"due": instant_text(self.due)}}, ensure_ascii=False
        )

    def payload(self, host: str) -> dict[str, Any]:
        """Return what a program gets: the body of a webhook, the input of a command."""
        return {
            "id": self.id,
            "receiver": self.receiver,
            "host": host,
            "subject": self.subject,
            "text": self.text,
            "threads": list(self.threads),
            "alerts": list(self.alerts),
            "alerts_count": len(self.names),
        }


def test_payload(identity: str, receiver: str, host: str, jobs: str) -> dict[str, Any]:
    """Return what a receiver gets to try whether messages reach it."""
    text = f"Messages about alerts reach the receiver `{receiver}`.\n\nRunner on {host}, {jobs}\n"
    return {
        "id": identity,
        "receiver": receiver,
        "host": host,
        "subject": f"test message of Runner on {host}",
        "text": text,
        "threads": [],
        "alerts": [],
        "alerts_count": 0,
    }


def composed(
    identity: str, notices: Sequence[Notice], now: datetime, context: MessageContext
) -> Message:
    """Return the message about all `notices` of one receiver, which must not be empty."""
    notices = in_order(notices)
    threads = dict.fromkeys(each.thread for each in notices if each.thread)
    return Message(
        id=identity,
        receiver=notices[0].receiver,
        subject=subject_of(notices, context),
        text=text_of(notices, context),
        threads=tuple(threads)[:_MOST_LISTED],
        names=tuple(each.facts.name for each in notices),
        alerts=tuple(_for_programs(each) for each in notices[:_MOST_LISTED]),
        due=now,
    )


def in_order(notices: Iterable[Notice]) -> list[Notice]:
    """Return the notices in the order of a message: new alerts come first."""
    return sorted(notices, key=lambda each: (each.stage is not Stage.OPENING, each.alert))


def ready(notices: Iterable[Notice], now: datetime) -> list[Notice]:
    """Return the notices for a message at `now`: all news, and the repetitions that are due.

    Empty if none of them is due.
    """
    listed = [each for each in notices if each.is_news or each.due <= now]
    return listed if any(each.due <= now for each in listed) else []


def after_failure(message: Message, now: datetime) -> Message | None:
    """Return the message with its next attempt; None after the last one."""
    if message.attempt >= MOST_ATTEMPTS:
        return None
    delay = min(FIRST_DELAY * 2 ** (message.attempt - 1), LONGEST_DELAY)
    return replace(message, attempt=message.attempt + 1, due=now + delay)


def message_in(data: Mapping[str, Any]) -> Message:
    """Return the message that `Message.stored` wrote, from its decoded JSON.

    Raises ValueError, KeyError or TypeError for anything else.
    """
    lists = {key: tuple(data[key]) for key in ("threads", "names", "alerts")}
    return Message(**dict(data) | lists | {"due": parse_instant(data["due"])})


def _for_programs(notice: Notice) -> dict[str, Any]:
    facts = notice.facts
    closed_at = None if facts.closed_at is None else instant_text(facts.closed_at)
    return asdict(facts) | {
        "event": _EVENTS[notice.stage],
        "since": instant_text(facts.since),
        "closed_at": closed_at,
    }
