"""Commands from other programs to the runner of a store: both ends of the conversation.

A command is a row in the store's mailbox, with a deadline. The runner writes its answer
into the row. A command is either applied or withdrawn, never both: each of the two is one
conditional update of the row. Touches only the mailbox.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

from runner.errors import NoRunnerError, RefusedError, StoreError, StoreMissingError
from runner.store.opening import mailbox_of
from runner.store.place import StorePlace
from runner.store.protocol import Mailbox
from runner.store.rows import CommandRow, CommandStatus
from runner.store.state_folder import require_trusted_state
from runner.system.trust import user_name
from runner.timing.zones import END
from runner.values import instant_text, new_id, parse_instant

PATIENCE_S = 10.0
"""Seconds to wait for an answer before the command is withdrawn."""
LONGEST_REASON = 1000
"""Maximum length of a pause's reason, in characters."""
_ARGUMENTS = ("targets", "is_for_all", "allow_empty", "params", "reason", "until", "fires")
_MOST_NESTED = 32
_UNFIT = re.compile("[\0\ud800-\udfff]")
_FIRST_LOOK_S, _LAST_LOOK_S = 0.002, 0.05


class CommandKind(StrEnum):
    """The commands that a runner knows."""

    SCHEDULE = "schedule"
    UNSCHEDULE = "unschedule"
    RESCHEDULE = "reschedule"
    EXEC = "exec"
    KILL = "kill"
    PAUSE = "pause"
    RESUME = "resume"
    ACKNOWLEDGE = "acknowledge"
    BACKFILL = "backfill"
    RELOAD = "reload"
    LOGIN = "login"
    """Somebody logged in to the page, which is to be recorded."""
    RESTART = "restart"
    STOP = "stop"
    """As SIGTERM does."""
    LEAVE = "leave"
    """To stop, and to leave the executions running for the next runner."""


OWN_COMMANDS = frozenset(
    {CommandKind.RELOAD, CommandKind.RESTART, CommandKind.STOP, CommandKind.LEAVE}
)
"""The commands to the runner itself, about no request."""


_OF_ONE = (CommandKind.EXEC, CommandKind.BACKFILL)


def person() -> str:
    """Return the name of the user who runs this program.

    The uid comes from the kernel and its name from the passwd database. LOGNAME and USER
    are ignored, because the caller can set them freely.
    """
    return user_name(os.getuid())


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command from a person."""

    kind: CommandKind
    targets: tuple[str, ...] = ()
    """Names of requests; for kill also ids of executions, for acknowledge names of alerts."""
    is_for_all: bool = False
    """Whether the command applies to all requests."""
    allow_empty: bool = False
    """For reload: accept a folder from which all files have vanished (see `last_good`)."""
    params: dict[str, Any] = field(default_factory=dict)
    """Parameters of the process, for exec."""
    reason: str | None = None
    """Why, in the person's words; for pause."""
    until: datetime | None = None
    """When a pause ends by itself, or an acknowledgement."""
    fires: tuple[datetime, ...] = ()
    """The fires to run, ascending; for backfill."""
    requested_by: str = field(default_factory=person)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The runner's answer to a command."""

    is_done: bool
    lines: tuple[str, ...] = ()
    """A line for the person for each target."""
    data: dict[str, Any] = field(default_factory=dict)
    """Data for the calling program; its keys depend on the command."""

    def text(self) -> str:
        """Return the answer as JSON for the store."""
        return json.dumps({"is_done": self.is_done, "lines": self.lines, "data": self.data})

    @classmethod
    def read(cls, text: str) -> Answer:
        """Read the JSON of `text`. Raises StoreError for anything else."""
        try:
            content = json.loads(text)
            is_done, lines, data = content["is_done"], content["lines"], content["data"]
            _require(isinstance(is_done, bool) and _are_texts(lines) and isinstance(data, dict))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise StoreError(
                "the answer in the store cannot be read; is the runner of another version?"
            ) from error
        return cls(is_done=is_done, lines=tuple(lines), data=data)


def command_of(row: CommandRow) -> Command:
    """Read a command from its row. Raises RefusedError for a malformed one.

    Every user who can write the store can post a row, so trust none of its contents.
    """
    try:
        kind = CommandKind(row.kind)
    except ValueError as error:
        raise RefusedError(
            f"the runner does not know the command {row.kind!r}; is it of another version?"
        ) from error
    try:
        return _read(kind, json.loads(row.arguments), row.requested_by)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RefusedError(f"the command {kind!r} in the store is malformed") from error


def _read(kind: CommandKind, content: Any, requested_by: str) -> Command:
    """Read the arguments of a command.

    Raises KeyError, TypeError or ValueError for arguments that `ask` never writes.
    """
    targets, params = content["targets"], content.get("params", {})
    reason, until = content.get("reason"), content.get("until")
    _require(reason is None or (_are_texts([reason]) and len(reason) <= LONGEST_REASON))
    end = None if until is None else parse_instant(until)
    _require(end is None or end < END)  # a later one cannot be shown in every zone
    fires = tuple(map(parse_instant, content.get("fires", ())))
    _require(all(earlier < later for earlier, later in pairwise(fires)))
    _require(_are_texts(targets) and (kind not in _OF_ONE or len(targets) == 1))
    _require(isinstance(content["is_for_all"], bool) and isinstance(content["allow_empty"], bool))
    _require(
        isinstance(params, dict)
        and all(map(str.isidentifier, params))
        and _is_plain(params, _MOST_NESTED)
    )
    return Command(
        kind=kind,
        targets=tuple(targets),
        is_for_all=content["is_for_all"],
        allow_empty=content["allow_empty"],
        params=params,
        reason=reason,
        until=end,
        fires=fires,
        requested_by=requested_by,
    )


def _require(is_met: bool) -> None:
    if not is_met:
        raise ValueError


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(each, str) and _is_plain(each, 0) for each in values
    )


def _is_plain(value: Any, depth: int) -> bool:
    """Return whether a JSON value can be stored, logged and put into an environment.

    NUL characters, lone surrogates, NaN, infinities, and values nested deeper than
    `depth` cannot.
    """
    match value:
        case str():
            return not _UNFIT.search(value)
        case float():
            return math.isfinite(value)
        case dict():
            return depth > 0 and all(
                _is_plain(key, 0) and _is_plain(each, depth - 1) for key, each in value.items()
            )
        case list():
            return depth > 0 and all(_is_plain(each, depth - 1) for each in value)
        case _:
            return True


def ask(
    place: StorePlace, command: Command, *, wait: Callable[[float], None] = time.sleep
) -> Answer:
    """Send a command to the runner of a store, and wait for its answer.

    Raises NoRunnerError if no runner is running or none answers in time; then the command
    has changed nothing and never will. Raises RefusedError for a store that root must not
    write. `wait` sleeps for a number of seconds.
    """
    require_trusted_state(place.folder)
    mailbox = mailbox_of(place)
    if not mailbox.has_owner():
        raise NoRunnerError(f"no runner is running on {place.words}; `runner start` starts one")
    row = CommandRow(
        id=new_id(),
        kind=command.kind,
        arguments=json.dumps(
            {name: getattr(command, name) for name in _ARGUMENTS}, default=instant_text
        ),
        requested_by=command.requested_by,
        deadline=time.time_ns() // 1000 + round(PATIENCE_S * 1_000_000),
        status=CommandStatus.PENDING,
    )
    try:
        mailbox.post(row)
    except StoreMissingError:
        raise NoRunnerError(f"the runner on {place.words} is still starting; try again") from None
    try:
        return Answer.read(_awaited(mailbox, place, row.id, wait))
    except BaseException:  # also Ctrl-C: a command without a waiting person must not run later
        mailbox.withdraw(row.id)
        raise


def _awaited(
    mailbox: Mailbox, place: StorePlace, command: str, wait: Callable[[float], None]
) -> str:
    give_up_s, pause_s = time.monotonic() + PATIENCE_S, _FIRST_LOOK_S
    while (text := mailbox.answer_to(command)) is None:
        # A withdrawal fails if the runner has just applied the command: its answer follows.
        is_hopeless = time.monotonic() > give_up_s or not mailbox.has_owner()
        if is_hopeless and mailbox.withdraw(command):
            raise NoRunnerError(
                f"the runner on {place.words} did not answer; the command was withdrawn"
            )
        wait(pause_s)
        pause_s = min(pause_s * 2, _LAST_LOOK_S)
    return text
