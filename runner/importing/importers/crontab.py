"""Import crontabs as Debian's cron and cronie read them. Pure.

A system crontab names a user in its sixth column; a user's own crontab does not.
"""

from __future__ import annotations

import re

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
    command_and_input,
    is_silent,
    program_in,
)
from runner.importing.importers.crontab_entries import (
    Columns,
    Homes,
    begins_with_user,
    columns_of,
    is_program,
)
from runner.importing.scheduling import NO_REBOOT, cron_timing
from runner.timing.cron.translation import NICKNAMES

_PATH = "/usr/bin:/bin"  # cron's own default, crontab(5)
# A name without quotes may not contain `*` or `@`: such a line is an entry.
_ASSIGNMENT = re.compile(r"""\s*("[^"]*"|'[^']*'|[^\s="'@*]+)\s*=\s*(.*?)\s*""")
# An entry inside a comment. Prose must not match: its fields begin with a digit or `*`.
_ENTRY = re.compile(r"(@[a-z]+|([-*\d][^ \t]*[ \t]+){2}([*\d?A-Za-z][^ \t]*[ \t]+){3})\S")
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
        columns = columns_of(line, has_users=self._has_users)
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
        if not self._has_users and begins_with_user(columns.command, self._homes):
            draft.changed(
                f"its command begins with {columns.command.split()[0]}, which looks like a user",
                "import it with --system",
            )
        if columns.user and is_program(columns.user, columns.command, self._homes):
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

    def _say_what_runs(self, draft: Draft, columns: Columns) -> None:
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


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
