"""Programs that misbehave, each with the record that it leaves: for a test, and for a
table of the documentation.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from support.place import Keys, Record

TOO_LONG = (
    "the arguments (… bytes) or the environment (… bytes) exceed the limit of the system; "
    "on Linux, one argument or variable may have 128 KiB"
)
HEAD = ("a program that", "`status`", "`reason`", "`message`", "and")
LIMIT = 64 * 1024
EXECUTABLE = {"stray"}
CHAIN_S = 120
"""Longer than any test waits for its end."""
CHAIN = f"""
import os, time
end = time.monotonic() + {CHAIN_S}
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
"""
ZOMBIES = """
import os, time
for _ in range(50):
    os.fork() or os._exit(0)
time.sleep(0.3)
"""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a finished record contains; "…" in the message stands for any text.

    `where` names the surroundings if this holds only there.
    """

    status: str = "success"
    reason: str | None = None
    message: str | None = None
    facts: Keys = field(default_factory=dict)
    where: str = ""

    def is_in(self, record: Record) -> bool:
        """Return whether a record contains this."""
        reported = {name: record[name] for name in ("status", "reason", *self.facts)}
        expected = {"status": self.status, "reason": self.reason, **self.facts}
        return reported == expected and self._is_message(record["message"])

    def _is_message(self, message: str | None) -> bool:
        if message is None or self.message is None:
            return message == self.message
        return re.fullmatch(".*".join(map(re.escape, self.message.split("…"))), message) is not None


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program, what it `does` in words, and its possible records.

    `files` maps the names of files beside it to their text.
    """

    does: str
    process: dict[str, Any]
    left: tuple[Left, ...]
    files: dict[str, str] = field(default_factory=dict)

    def is_as_recorded(self, record: Record) -> bool:
        """Return whether a record is one of the possible ones."""
        return any(left.is_in(record) for left in self.left)


def _shell(does: str, line: str, *left: Left, **process: Any) -> Program:
    return Program(does=does, process={"shell": line, **process}, left=left)


def _command(
    does: str, *left: Left, command: list[str], files: dict[str, str] | None = None, **process: Any
) -> Program:
    return Program(does=does, process={"command": command, **process}, left=left, files=files or {})


def _python(does: str, text: str, *left: Left, **process: Any) -> Program:
    return _command(does, *left, command=[sys.executable, "-c", text], **process)


def _success(**facts: object) -> Left:
    return Left(facts={"exit_code": 0, **facts})


def _failure(code: int, **facts: object) -> Left:
    return Left(
        status="error",
        reason="exit_code",
        message=f"exit code {code}",
        facts={"exit_code": code, **facts},
    )


def _signal(number: int, name: str, why: str = "") -> Left:
    facts = {"signal": number, "exit_code": None}
    return Left(
        status="error", reason="signal", message=f"ended by signal {name}{why}", facts=facts
    )


def _timeout(span: str, where: str = "", **facts: object) -> Left:
    message = f"stopped after its timeout of {span}"
    return Left(status="error", reason="timeout", message=message, facts=facts, where=where)


def _too_much(**facts: object) -> Left:
    message = "stopped because its output exceeded `output_limit`"
    return Left(status="error", reason="output_limit", message=message, facts=facts)


def _unstarted(message: str, where: str = "") -> Left:
    facts = {"exit_code": None, "signal": None}
    return Left(status="error", reason="spawn_failed", message=message, facts=facts, where=where)


PROGRAMS = {
    # it does not end
    "deaf": _shell(
        "ignores SIGTERM",
        "trap '' TERM; while :; do sleep 0.1; done",
        _timeout("5s", signal=9),
        timeout="5s", stop_grace="200ms",
    ),
    "halted": _shell(
        "stops itself (SIGSTOP)",
        "kill -STOP $$",
        _timeout("5s", signal=9),
        timeout="5s", stop_grace="200ms",
    ),
    "tree": _shell(
        "starts 200 processes by double forks, each with a session of its own",
        "i=0; while [ $((i += 1)) -le 200 ]; do (setsid sleep 60 &); done; sleep 60",
        _timeout("1s", signal=15),
        timeout="1s",
    ),
    "bomb": _shell(
        "is a fork bomb, with `limits: {processes: 30}`",
        "bomb() { [ $1 = 0 ] || { bomb $(($1 - 1)) & bomb $(($1 - 1)) & sleep 60; }; };"
        " bomb 7 & exec sleep 60",
        _unstarted(
            "limits.processes needs a delegated cgroup v2 with the pids controller, which this"
            " runner does not have",
            where="without a delegated cgroup",
        ),
        _timeout("1s", where="in a delegated cgroup", signal=15),
        timeout="1s", limits={"processes": 30},
    ),
    # it leaves something behind
    "daemon": _shell("leaves a daemon behind that has neither its session nor its environment",
                     "(env -i setsid sleep 60 &)", _success()),
    "keeper": _shell("ends while its child keeps the output open", "sleep 60 & echo done",
                     _success(output_tail="done\n")),
    "chain": _python("ends while a chain of its children forks on, each in a session of its own",
                     CHAIN, _success()),
    "zombies": _python("never waits for its 50 children", ZOMBIES, _success()),
    # its output
    "endless": _shell("prints without end, with `output_limit: 64KiB`", "exec yes",
                      _too_much(signal=15, output_bytes=LIMIT), output_limit="64KiB"),
    "unbroken": _shell(
        "prints a line without end and ignores SIGTERM, with that limit",
        "trap '' TERM; while :; do printf 'and so on '; done",
        _too_much(signal=9, output_bytes=LIMIT),
        output_limit="64KiB", stop_grace="200ms",
    ),
    "haunted": _shell(
        "leaves a daemon behind that prints without end and ignores SIGTERM, with that limit",
        "(setsid sh -c 'trap \"\" TERM; while :; do echo more; done' &); sleep 0.2;"
        " head -c 70000 /dev/zero",
        _too_much(output_bytes=LIMIT),
        output_limit="64KiB", stop_grace="200ms",
    ),
    "much": _shell("prints 20 MB", "head -c 20000000 /dev/zero | tr '\\0' .",
                   _success(output_bytes=20_000_000, output_truncated=True)),
    "mute": _shell("closes its output", "exec >&- 2>&-; echo lost; exit 3",
                   _failure(3, output_bytes=0)),
    "latin": _shell("prints bytes that are not UTF-8", r"printf 'caf\351\377\n'",
                    _success(output_tail="caf\ufffd\ufffd\n")),
    "painter": _shell("prints escape codes", r"printf '\033[2J\033[31mred'",
                      _success(output_tail="\x1b[2J\x1b[31mred")),
    "controls": _shell("prints 9,000 control characters, each six bytes in JSON",
                       r"head -c 9000 /dev/zero | tr '\0' '\1'",
                       _success(output_bytes=9000, output_truncated=True)),
    "opener": _shell("opens `/dev/stderr` again (`echo late > /dev/stderr`, instead of `>&2`),"
                     " which empties the file",
                     "echo early; echo late > /dev/stderr", _success(output_tail="late\n")),
    "fifo": _shell("puts a FIFO in the place of its output",
                   "out=$(readlink /proc/$$/fd/1); rm $out; mkfifo $out; echo gone",
                   _success(output_bytes=0)),
    "folder": _shell("puts a folder in the place of its output",
                     "out=$(readlink /proc/$$/fd/1); rm $out; mkdir $out; echo gone",
                     _success(output_bytes=0)),
    "locker": _shell("takes all permissions from its output",
                     "chmod 000 $(readlink /proc/$$/fd/1)", _success()),
    # its end
    "crash": _shell("crashes", "kill -SEGV $$", _signal(11, "SIGSEGV")),
    "suicide": _shell("kills its whole process group", "kill -KILL 0", _signal(9, "SIGKILL")),
    "glutton": _shell(
        "takes more memory than `limits: {memory: 100MB}`",
        "exec dd if=/dev/zero of=/dev/null bs=300M count=1",
        Left(status="error", reason="exit_code", message="exit code 1",
             where="without a delegated cgroup"),
        Left(status="error", reason="memory_limit", where="in a delegated cgroup",
             message="ended by the system because its memory exceeded `limits.memory`"),
        limits={"memory": "100MB"},
    ),
    "burner": _shell("takes more processor time than `limits: {cpu: 1s}`", "while :; do :; done",
                     _signal(24, "SIGXCPU", " because it used up `limits.cpu`"),
                     limits={"cpu": "1s"}),
    "hoarder": _shell("opens more files than `limits: {open_files: 5}`",
                      "exec 3< /dev/null 4< /dev/null 5< /dev/null",
                      _failure(2), limits={"open_files": 5}),
    "typist": _shell("wants a terminal", "exec < /dev/tty", _failure(2)),
    "reader": _shell("waits for input", "cat", _success(output_bytes=0)),
    "sawyer": _shell("deletes its working directory", "rmdir ../perch && echo still here",
                     _success(output_tail="still here\n"), directory="../perch"),
    # its start
    "homeless": _command("has a working directory that does not exist",
                         _unstarted("directory '…/nowhere' does not exist"),
                         command=["true"], directory="../nowhere"),
    "absent": _command("does not exist", _unstarted("program 'no-such-program' is not in PATH (…)"),
                       command=["no-such-program"]),
    "text": _command("is not executable",
                     _unstarted("program './text' is not executable in directory '…' (chmod +x)"),
                     command=["./text"], files={"text": "#!/bin/sh\n"}),
    "stray": _command(
        "needs an interpreter that does not exist",
        _unstarted("program './stray' needs the interpreter '/no/such/python', which does not"
                   " exist"),
        command=["./stray"], files={"stray": "#!/no/such/python\n"},
    ),
    "crowd": _command("has an environment of 200 KB", _unstarted(TOO_LONG), command=["true"],
                      environment={"BIG": "x" * 200_000}),
    "verbose": _command("has an argument of 200 KB", _unstarted(TOO_LONG),
                        command=["true", "x" * 200_000]),
}  # fmt: skip


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    yield from (_row(HEAD), "|" + "---|" * len(HEAD))
    for program in PROGRAMS.values():
        for left in program.left:
            does = program.does if left is program.left[0] else ""
            where = f"{left.where}: " if left.where else ""
            yield _row(
                (
                    does,
                    f"{where}{left.status}",
                    _code(left.reason),
                    left.message or "",
                    _facts(left),
                )
            )


def _facts(left: Left) -> str:
    """Return the facts that are not null; the reason already implies the null ones."""
    return ", ".join(
        _code(f"{name}: {json.dumps(fact)}")
        for name, fact in left.facts.items()
        if fact is not None
    )


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
