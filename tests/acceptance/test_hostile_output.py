"""Hostile text of other people goes through every command in every form, and never
controls the terminal.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support import fork_server
from support.git import commit_all, git
from support.place import Place, wait_until

from runner import cli as runner_cli
from runner.cli.command_table import COMMANDS
from runner.cli.group import cli

HOSTILE = (
    "h\x1b[2J\x1b]0;title\x07\x1b[31m\x9b31m\r\nrunner: all "
    "valid\t\x08\x7f\u061c\u202egnp.exe\u202c\u2066\u200f\u2028"
    "\u2029\u200b\ufeff\u00a0<script>[a](javascript:alert`1`)|</details>"
)
IN_NAMES = "h\x1b[2J\x9b\u202e\u200b\n"
BRANCH = "b\u202e\u200b\u2066"
RAISING = "def fail() -> None:\n    raise LookupError(HOSTILE)\n"
FAR_OFF = {"run_later": {"start": "2130-01-01 12:00"}}
ARGUMENTS: dict[str, list[list[str]]] = {
    "start": [],  # it has its own test
    "init": [["new"], [IN_NAMES]],
    "validate": [[], ["jobs.d/bad.yaml"]],
    "plan": [["--against", BRANCH], []],
    "ls": [[]],
    "show": [["hostile"], ["bad"], ["hostile", "--resolved"]],
    "next": [[]],
    "status": [[]],
    "schedule": [["hostile", IN_NAMES]],
    "unschedule": [["hostile", IN_NAMES]],
    "reschedule": [["hostile", IN_NAMES]],
    "pause": [["hostile", "--reason", HOSTILE], [IN_NAMES, "--reason", "x"]],
    "resume": [["hostile", IN_NAMES]],
    "backfill": [["hostile", "--from", IN_NAMES, "--to", "now"], [IN_NAMES]],
    "exec": [["prints"], ["fails"], [IN_NAMES], ["prints", "--param", f"a={HOSTILE}"]],
    "kill": [[IN_NAMES]],
    "monitor": [[]],
    "log": [["EXECUTION"], [IN_NAMES]],
    "notify": [["--test", IN_NAMES]],
    "alerts": [[], ["--ack", IN_NAMES, "--until", "2h"]],
    "web": [["--listen", IN_NAMES]],
    "token": [["add", IN_NAMES], ["add", "a", "--only-client", HOSTILE], ["list"]],
    "metrics": [[]],
    "work": [["--name", IN_NAMES, "--queue", HOSTILE]],
    "drain": [[IN_NAMES]],
    "store": [["copy", "--store-file", IN_NAMES], [IN_NAMES]],
    "reload": [[]],
    "restart": [[]],
    "doctor": [[]],
    "schema": [[]],
    "explain": [["hostile"], [IN_NAMES], ["hostile", "--at", IN_NAMES]],
    "simulate": [[]],
    "calendar": [["ES", "--years", IN_NAMES], [IN_NAMES]],
    "import": [["crontab", "crontab", "--dry-run"], ["crontab", IN_NAMES]],
    "help": [[], ["overview"], [IN_NAMES]],
    "stop": [[]],  # last: it ends the runner
}


@pytest.fixture
def hostile(place: Place) -> Place:
    """Return a repository in which every text that others can write is hostile."""
    place.environment |= {"NO_COLOR": "1", "COLUMNS": "200", "GIT_CONFIG_GLOBAL": "/dev/null"}
    texts: dict[str, object] = {
        "description": HOSTILE,
        "owner": HOSTILE,
        "labels": {"team": HOSTILE},
    }
    context: dict[str, object] = {"context": {"client": HOSTILE, "organization": HOSTILE}}
    place.declare(
        "hostile",
        f"echo '{HOSTILE}'",
        FAR_OFF,
        top=texts | context,
        params={"a": HOSTILE},
        stdin=HOSTILE,
    )
    place.declare("prints", "printf '%s' \"$RUNNER_PARAM_A\"; exit 3", params={"a": HOSTILE})
    (place.jobs / "raising.py").write_text(RAISING.replace("HOSTILE", repr(HOSTILE)))
    failing = {"process": {"python": "raising:fail"}}
    place.write("fails.yaml", json.dumps(failing))
    place.write("alarms.yaml", json.dumps({**failing, "timing": "run_immediately"}))
    place.write(
        "bad.yaml", json.dumps({"process": {"shell": HOSTILE, HOSTILE: 1}, "timing": HOSTILE})
    )
    place.write("broken.yaml", f"process: {{shell: '{HOSTILE}\n")
    place.write(
        "dated.yaml",
        json.dumps(
            {
                "process": {"shell": ":"},
                "timing": {"schedule": {"frequency": "daily", "at": "02:00", "except": "dates"}},
            }
        ),
    )
    (place.jobs / "dates").write_text(f"{HOSTILE}\n")
    (place.jobs / f"{IN_NAMES}.yaml").touch()
    (place.jobs / "link.yaml").symlink_to(IN_NAMES)
    (place.folder / "crontab").write_text(
        f"0 2 * * * echo {HOSTILE}\n{HOSTILE} * * * *\nX='{HOSTILE}'\n", newline=""
    )
    git(place.folder, "init", "-q")
    commit_all(place.folder, HOSTILE)
    git(place.folder, "branch", BRANCH)
    place.declare("hostile", f"echo '{HOSTILE[::-1]}'", FAR_OFF, top=texts)
    return place


def on_terminal(place: Place, *arguments: str, until: str | None = None) -> str:
    """Run a command on a terminal, to its end or until a text appears; return its output."""
    controller, terminal = pty.openpty()
    with open(os.devnull, "rb") as empty:  # noqa: PTH123
        process = fork_server.start(
            arguments,
            environment=place.environment,
            folder=place.folder,
            streams=(empty.fileno(), terminal, terminal),
        )
    os.close(terminal)
    shown = b""
    with open(controller, "rb", buffering=0) as screen:  # noqa: PTH123
        for piece in iter(lambda: _read(screen.fileno()), b""):
            shown += piece
            if until is not None and until.encode() in shown:
                process.send_signal(signal.SIGTERM)
                until = None
    process.wait(timeout=60)
    assert until is None
    return shown.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # EIO: the last writer has closed it
        return b""


def forms_of(command: click.Command) -> Iterator[list[str]]:
    """Yield the options for each output form that a command declares."""
    options = [
        each
        for each in command.params
        if each.name == "output" and isinstance(each.type, click.Choice)
    ]
    for option in options:
        assert isinstance(option.type, click.Choice)
        yield from (["--output", form] for form in option.type.choices)
    if not options:
        yield []


def steering(text: str) -> set[str]:
    return {character for character in text if not character.isprintable() and character != "\n"}


def test_no_command_prints_a_control_sequence_in_any_form(hostile: Place) -> None:
    assert ARGUMENTS.keys() == COMMANDS.keys()
    shown = {"start": on_terminal(hostile, "start", until="● runner")}
    runner = hostile.start()
    for name in ("prints", "fails"):
        hostile.run("exec", name)
    wait_until(lambda: len(hostile.events("execution.finished")) == 3, what="three executions")
    wait_until(lambda: hostile.events("alert.opened", "alarms"), what="an alert")
    execution = hostile.finished("prints")[0]["execution"]
    context = click.Context(cli)
    for name, lines in ARGUMENTS.items():
        command = cli.get_command(context, name)
        assert command is not None
        for form in forms_of(command):
            for line in lines:
                given = [execution if each == "EXECUTION" else each for each in line]
                shown[" ".join([name, *form, *given])] = on_terminal(hostile, name, *given, *form)
        shown[f"{name} --…"] = on_terminal(hostile, name, f"--{IN_NAMES}")
    shown["unknown"] = on_terminal(hostile, IN_NAMES)
    assert runner.wait(timeout=60) == 0

    found = {line: steering(text) for line, text in shown.items()}
    outputs = {
        line for line in found if line.startswith(("exec ", "log "))
    }  # tabs belong to an output
    assert {
        line: each for line, each in found.items() if each - ({"\t"} if line in outputs else set())
    } == {}
    assert all(shown.values())
    whole = "".join(shown.values())
    assert "\\x1b[2J" in whole  # it was shown, as text


def test_the_console_in_a_file_and_as_json_has_no_control_sequences(
    hostile: Place,
) -> None:
    for form in ("text", "json"):
        runner = hostile.start("--log-format", form)
        hostile.run("exec", "fails")
        hostile.run("exec", "prints")
        assert hostile.stop(runner) == 0
        assert "\\u202e" in hostile.console()
        assert steering(hostile.console()) == set()


def test_log_writes_bytes_to_a_pipe_and_neutral_text_to_a_terminal(hostile: Place) -> None:
    raw = HOSTILE.encode() + b"\xff\xc3"
    (hostile.folder / "raw").write_bytes(raw)
    hostile.declare("raw", "cat ../raw")
    hostile.serve_fleet()
    piped = subprocess.run(
        [sys.executable, "-m", "runner", "exec", "raw"],
        env=hostile.environment,
        cwd=hostile.folder,
        stdout=subprocess.PIPE,
        check=True,
    )
    assert piped.stdout == raw
    (record,) = hostile.await_finished("raw")
    logged = subprocess.run(
        [sys.executable, "-m", "runner", "log", record["execution"]],
        env=hostile.environment,
        cwd=hostile.folder,
        stdout=subprocess.PIPE,
        check=True,
    )
    assert logged.stdout == raw
    for line in (("exec", "raw"), ("log", record["execution"])):
        text = on_terminal(hostile, *line)
        assert text.startswith(
            "h\\x1b[2J\\x1b]0;title\\x07\\x1b[31m\\x9b31m\nrunner: all valid\t\\x08"
        )
        assert steering(text) == {"\t"}


def test_markdown_neutralises_links_and_html_of_others(hostile: Place) -> None:
    text = hostile.run("plan", "--output", "markdown", "--against", BRANCH).stdout
    assert "javascript:" in text
    outside = re.sub(r"`[^`]*`", "", text)
    assert "javascript" not in outside
    assert not set(re.findall(r"<[^>]*>", outside)) - {
        "<!-- runner plan -->",
        "<br>",
        "<details>",
        "<summary>",
        "</summary>",
        "</details>",
    }


def test_only_one_function_prints() -> None:
    """All printing goes through it, so all printed text is neutralised."""
    folder = Path(runner_cli.__file__).parent
    printing = re.compile(
        r"click\.(echo|secho|style)\(|(?<![\w.])print\(|sys\.(stdout|stderr)\.(buffer\.)?write\("
        r"|os\.write\(|logger\.add\(\s*sys"
    )
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if printing.search(path.read_text())
    }
    # Console lines pass `shown_line`, the copier escapes for terminals itself, and
    # `__init__.py` prints the help.
    assert found == {
        "output/tables.py",
        "output/line_writer.py",
        "output/copying.py",
        "__init__.py",
    }


SECRET = "root:$6$S3cr3tS4lt$h4sh3dp4ssw0rd"


def _link_out(place: Place, elsewhere: Path) -> None:
    """Put links to a private file of the runner's user in every place that the runner reads."""
    for name in ("shadow", "a.yaml", "_defaults.yaml"):
        (elsewhere / name).write_text(f"{SECRET}:20000\n- [{SECRET}\n")
    (elsewhere / "b.yaml").write_text(f"name: {SECRET}\nprocess: {{shell: 'true', {SECRET}: 1}}\n")
    (elsewhere / "c.yaml").write_text(f"{SECRET}\n")
    (place.jobs / "x.yaml").symlink_to(elsewhere / "shadow")
    (place.jobs / "y.yaml").symlink_to(elsewhere / "b.yaml")
    (place.jobs / "z.yaml").symlink_to(elsewhere / "c.yaml")
    (place.jobs / "folder").symlink_to(elsewhere)
    schedule = {"frequency": "daily", "at": "02:00"}
    for name, dates in {"named": str(elsewhere / "shadow"), "linked": "dates"}.items():
        place.declare(name, ":", {"schedule": {**schedule, "except": dates}})
    (place.jobs / "dates").symlink_to(elsewhere / "shadow")


def test_no_message_quotes_a_file_outside_the_jobs_folder(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    _link_out(place, elsewhere)
    shown = [
        place.run("validate", "--output", form)
        for form in ("text", "json", "github", "sarif", "junit")
    ]
    shown += [
        place.run(*line)
        for line in (("ls",), ("show", "named"), ("plan",), ("plan", "--output", "markdown"))
    ]
    runner = place.start()
    shown += [place.run("reload"), place.run("doctor")]
    assert place.stop(runner) == 0
    (place.folder / "runner.yaml").symlink_to(elsewhere / "shadow")
    shown.append(place.run("validate"))
    texts = [f"{done.stdout}{done.stderr}" for done in shown] + [
        place.console(),
        place.log.read_text(),
    ]
    assert not [text for text in texts if "$6$" in text or "S3cr3t" in text]
    for number, file in ((0, "x.yaml"), (0, "folder/_defaults.yaml"), (-3, "runner.yaml")):
        assert f"{file}:" in texts[number]
        assert "it lies outside the jobs folder, so its content is not shown" in texts[number]


def test_a_link_within_the_jobs_folder_is_quoted_like_a_file(place: Place) -> None:
    (place.jobs / "..data").mkdir()
    (place.jobs / "..data/a.yaml").write_text("process: {shel: 'true'}\n")
    (place.jobs / "a.yaml").symlink_to("..data/a.yaml")
    done = place.run("validate")
    assert "unknown" in done.stdout or "shel" in done.stdout
    assert " 1 | process: {shel: 'true'}" in done.stdout
