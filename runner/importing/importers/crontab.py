"""Import crontabs as Debian's cron and cronie read them. Pure.

A system crontab names a user in its sixth column; a user's own crontab does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from runner.importing.cron_dialects import VIXIE
from runner.importing.imported import (
    Data,
    Draft,
    Import,
    ImportSettings,
    Remark,
    Severity,
    finished,
)
from runner.importing.importers.crontab_commands import (
    PROGRAMS,
    command_and_input,
    is_silent,
    program_in,
    runs_another,
)
from runner.importing.scheduling import NO_REBOOT, cron_timing
from runner.timing.cron.translation import NICKNAMES

Homes = Callable[[str | None], str | None]
"""Return a user's home folder, or None for an unknown user.

The user None is the one who runs the import.
"""

_PATH = "/usr/bin:/bin"  # cron's own default, crontab(5)
# A name without quotes may not contain `*` or `@`: such a line is an entry.
_ASSIGNMENT = re.compile(r"""\s*("[^"]*"|'[^']*'|[^\s="'@*]+)\s*=\s*(.*?)\s*""")
_BLANKS = re.compile(r"[ \t]+")
_USERS = frozenset(
    ["root", "daemon", "www-data", "nobody", "postgres", "mysql", "apache", "nginx", "ubuntu"]
)
"""Users that system crontabs often name, and that are unlikely names of programs."""
# An entry inside a comment. Prose must not match: its fields begin with a digit or `*`.
_ENTRY = re.compile(r"(@[a-z]+|([-*\d][^ \t]*[ \t]+){2}([*\d?A-Za-z][^ \t]*[ \t]+){3})\S")
# A user's name as useradd(8) accepts it.
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}\$?")
_BEGIN = re.compile(r"/(\S*/)?s?bin/\S+|/\S+\.(sh|py|pl|php|rb)$")
"""The beginning of a command that is unlikely to be an argument."""
# Variables with a meaning to cron itself. SHELL and HOME are also passed to the process.
_OWN = {"SHELL", "HOME", "MAILTO", "MAILFROM", "CRON_TZ", "RANDOM_DELAY", "LOGNAME", "USER"}
_MAIL = "cron mails the output; here it is kept, and its end is in the monitor log"
_INHERITS = (
    "a process inherits the runner's environment; cron's has little more than PATH,"
    " which each request now sets"
)


def from_crontab(text: str, settings: ImportSettings, *, has_users: bool, homes: Homes) -> Import:
    """Read a crontab. With `has_users`, each command has a user in front of it."""
    reader = _Reader(settings=settings, has_users=has_users, homes=homes)
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        reader.read(number, line.strip(" \t\r"))
    if reader.drafts and reader.drafts[-1].line == len(lines):
        reader.drafts[-1].differs(
            "its line has no newline at the end: cron refuses the crontab or never runs the entry"
        )
    return finished(reader.drafts, reader.file_remarks(), settings)


class _Reader:
    """Reads the lines of a crontab in order. A variable applies to the entries below it."""

    def __init__(self, *, settings: ImportSettings, has_users: bool, homes: Homes) -> None:
        self.drafts: list[Draft] = []
        self._settings = settings
        self._has_users = has_users
        self._homes = homes
        self._variables: dict[str, str] = {}
        self._comments: list[str] = []
        self._mailed_from: int | None = None
        self._has_machine_zone = False

    def read(self, number: int, line: str) -> None:
        if not line:
            self._comments = []
        elif line.startswith("#"):
            self._comment(line.lstrip("#").strip())
        elif match := _ASSIGNMENT.fullmatch(line):
            self._variables[_unquoted(match[1])] = _unquoted(match[2])
            self._comments = []
        else:
            self.drafts.append(self._entry(number, line))
            self._comments = []

    def file_remarks(self) -> list[Remark]:
        """Return the remarks that concern all entries."""
        if not self.drafts:
            return []
        remarks = [Remark(line=1, severity=Severity.NOTE, message=_INHERITS)]
        if not self._has_users:
            message = (
                "cron runs these commands as the crontab's owner; Runner runs them as its own user,"
                " in the home of the user who imports"
            )
            suggestion = "use the same user for both, or add `run_as` and the right `directory`"
            remarks.append(
                Remark(line=1, severity=Severity.NOTE, message=message, suggestion=suggestion)
            )
        if self._has_machine_zone:
            remarks.append(self._settings.zone_remark("the machine that cron ran on"))
        if self._mailed_from is not None:
            suggestion = (
                "watch the monitor log for failures, or add an `on_failure` that notifies someone"
            )
            mail = Remark(
                line=self._mailed_from,
                severity=Severity.DIFFERS,
                message=_MAIL,
                suggestion=suggestion,
            )
            remarks.append(mail)
        return remarks

    def _comment(self, text: str) -> None:
        """Keep a comment as the description of the entry below it.

        An entry that is commented out and a line of ornaments describe nothing.
        """
        if (
            _ENTRY.match(text)
            or not re.search(r"\w", text)
            or text.replace(" ", "").startswith("mhdommon")  # Debian's header of the columns
        ):
            self._comments = []
        else:
            self._comments.append(text)

    def _entry(self, number: int, line: str) -> Draft:
        draft = Draft(line=number, excerpt=line, wanted_name="")
        columns = _columns(line, has_users=self._has_users)
        if columns is None:
            what = "a time, a user and a command" if self._has_users else "a time and a command"
            draft.changed(
                f"it is not a crontab entry ({what}) and is not written",
                "see crontab(5)",
            )
            draft.is_written = False
            return draft
        if columns.is_quiet:
            draft.note("the leading - keeps cron from logging it; Runner records every execution")
        first = _BLANKS.split(columns.command)[0]
        if not self._has_users and self._is_user(columns.command):
            draft.changed(
                f"its command begins with {first}, which looks like a user",
                "import it with --system",
            )
        if columns.user and self._is_program(columns.user, columns.command):
            draft.changed(
                f"the user field contains {columns.user}, which looks like a program",
                "import it without --system",
            )
        draft.wanted_name = program_in(columns.command) or f"line-{number}"
        if self._comments:
            draft.data["description"] = " ".join(self._comments)
        self._say_what_runs(draft, columns)
        self._say_when(draft, columns.time)
        is_mailed = self._variables.get("MAILTO") != "" and not is_silent(columns.command)
        if is_mailed and self._mailed_from is None:
            self._mailed_from = number
        return draft

    def _is_user(self, command: str) -> bool:
        """Return whether a command seems to begin with a user that a command follows."""
        first, _, rest = command.replace("\t", " ").partition(" ")
        begin = rest.split(maxsplit=1)[0] if rest.strip() else ""
        if first in _USERS:
            return True
        if not _USER.fullmatch(first) or runs_another(first) or first in PROGRAMS:
            return False
        is_known = self._homes(first) is not None
        return _BEGIN.match(begin) is not None or (
            is_known and (begin.startswith("/") or runs_another(begin))
        )

    def _is_program(self, user: str, command: str) -> bool:
        """Return whether the word in the user's place seems to be a program.

        The command is then that program's arguments.
        """
        if self._homes(user) is not None:
            return False
        return (
            not _USER.fullmatch(user)
            or runs_another(user)
            or user in PROGRAMS
            or command.startswith("-")
        )

    def _say_what_runs(self, draft: Draft, columns: _Columns) -> None:
        command, stdin = command_and_input(columns.command)
        shell = self._variables.get("SHELL", "/bin/sh")
        draft.process |= (
            {"shell": command} if shell == "/bin/sh" else {"command": [shell, "-c", command]}
        )
        if stdin is not None:
            draft.process["stdin"] = stdin
            draft.note(
                "the text after the first % is its standard input; each further % is a line break"
            )
        if columns.user:
            draft.process["run_as"] = {"user": columns.user}
        draft.process["environment"] = self._environment()
        self._say_where(draft, columns.user)

    def _say_where(self, draft: Draft, user: str | None) -> None:
        """Set the directory: cron changes to HOME, which the crontab may set."""
        home = self._variables.get("HOME") or self._homes(user)
        if home is None:
            whose = user or "the crontab's owner"
            draft.changed(
                f"cron runs it in the home folder of {whose}, which is unknown on this machine",
                "write its `directory`",
            )
        elif not home.startswith("/"):
            draft.changed(f"HOME={home} is not an absolute path", "write its `directory`")
        else:
            draft.process["directory"] = home

    def _environment(self) -> Data:
        given = {
            name: value
            for name, value in self._variables.items()
            if name not in _OWN - {"SHELL", "HOME"}
        }
        return {"PATH": _PATH, **given}

    def _say_when(self, draft: Draft, time: str) -> None:
        zone = self._variables.get("CRON_TZ") or None
        if time.lower() == "@reboot":
            draft.changed(*NO_REBOOT)
            draft.data["timing"] = "run_immediately"
            return
        if time.startswith("@") and time.lower() not in NICKNAMES:
            draft.changed(f"cron has no {time}", f"use one of {', '.join(NICKNAMES)}")
            return
        if zone:
            draft.differs(
                f"CRON_TZ={zone} becomes its time zone, as in cronie; Debian's cron ignores it"
            )
        self._has_machine_zone |= not zone
        timing = cron_timing(draft, time, VIXIE, self._settings, zone=zone)
        if timing:
            timing["schedule"] |= self._spread(draft)
            draft.data["timing"] = timing

    def _spread(self, draft: Draft) -> Data:
        """Return a spread for RANDOM_DELAY minutes.

        cronie draws one random delay below that when it starts. A fixed one spreads the
        load equally well.
        """
        delay = self._variables.get("RANDOM_DELAY", "0")
        if not re.fullmatch(r"\d{1,4}", delay, re.ASCII):
            draft.differs(
                f"RANDOM_DELAY={delay} is not a number of minutes and is not carried over"
            )
            return {}
        if not int(delay):
            return {}
        draft.differs(
            f"RANDOM_DELAY={delay} becomes a `spread`: the request gets a fixed delay; cronie draws"
            " a new delay when it starts, and Debian's cron ignores it"
        )
        return {"spread": f"{int(delay)}m"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The columns of an entry. `is_quiet` means that it begins with a `-`."""

    time: str
    user: str | None
    command: str
    is_quiet: bool


def _columns(line: str, *, has_users: bool) -> _Columns | None:
    """Split an entry into its columns; return None if it lacks one."""
    is_quiet = line.startswith("-")
    line = line.removeprefix("-")
    width = 1 if line.startswith("@") else 5
    parts = _BLANKS.split(line, maxsplit=width + has_users)
    if len(parts) <= width + has_users or not re.match(r"[@*\d]", line):
        return None
    return _Columns(
        time=" ".join(parts[:width]),
        user=parts[width] if has_users else None,
        command=parts[-1],
        is_quiet=is_quiet,
    )


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
