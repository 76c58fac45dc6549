"""Every kind of process as its user sees it: what it receives, what its record says,
and that secrets stay hidden.
"""

from __future__ import annotations

import base64
import grp
import json
import os
import pwd
import re
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from support.place import ROOT, Keys, Place, Record, check_log
from support.store_activity import stored_texts

NOW = "run_immediately"
CALLED = """
import json
import os

def reported(year: int, ledger: str = "main") -> dict:
    print("closing", year)
    return {"year": year, "ledger": ledger}

def failing() -> None:
    raise LookupError("no ledger \\033[2J")

def telling() -> tuple:
    print(json.dumps({"password": os.environ["PASSWORD"]}))
    return os.environ["TOKEN"], os.environ["PASSWORD"]

def blurting() -> None:
    raise ValueError(os.environ["TOKEN"], os.environ["PASSWORD"], os.environ["API_KEY"])
"""
HOST = re.escape(socket.gethostname())
IS_ROOT = os.geteuid() == 0
TOKEN, PASSWORD, API_KEY = (
    "tok-5d41402abc4b2a76",
    "pä\"ss w\\ord' 7215ee9c7d",
    "key-9f86d081884c7d65",
)
SECRET_PATH = "/opt/e3b0c44298fc1c14/bin"


def _request(
    place: Place, name: str, timing: object = None, /, *, top: Keys | None = None, **process: Any
) -> None:
    timed = {"timing": timing} if timing else {}
    place.write(
        f"{name}.yaml",
        json.dumps({"process": {"directory": "../work", **process}, **timed, **(top or {})}),
    )


def _work(place: Place, **files: str) -> Path:
    """Make the working folder of the processes, with files."""
    work = place.folder / "work"
    work.mkdir()
    for name, text in files.items():
        (work / name.replace("_", ".")).write_text(text)
    return work


def _only(place: Place, name: str, **fields: Any) -> Record:
    (record,) = place.await_finished(name, **fields)
    return record


def _differences(record: Record, expected: Keys) -> Keys:
    """Return the fields that differ from what is expected.

    A pattern must match a whole text.
    """
    return {
        name: record[name]
        for name, value in expected.items()
        if not (
            re.fullmatch(value.pattern, record[name] or "")
            if isinstance(value, re.Pattern)
            else record[name] == value
        )
    }


# --- what a process is given, and what counts as success
# --------------------------------------------------------------------------------------

ENVIRONMENT = (
    'echo "$A $B $C $D"; echo "$RUNNER_PARAMS $RUNNER_PARAM_YEAR '
    '$RUNNER_PARAM_LEDGER $RUNNER_PARAM_ROWS"'
)
FAILED = {"status": "error", "reason": "exit_code", "exit_code": 1}
UNSTARTED = {"status": "error", "reason": "spawn_failed", "exit_code": None}
KINDS: dict[str, tuple[dict[str, Any], Keys]] = {
    "callable": (
        {"python": "called:reported", "params": {"year": 2026, "rows": [1]}},
        {
            "status": "success",
            "message": "returned {'year': 2026, 'ledger': 'main'}",
            "output_tail": "closing 2026\n",
        },
    ),
    "exception": (
        {"python": "called:failing"},
        {
            **FAILED,
            "message": "LookupError: no ledger \x1b[2J",
            "output_tail": re.compile("(?s)Traceback .*failing.*"),
        },
    ),
    "no-module": (
        {"python": "uncalled:reported"},
        {
            **FAILED,
            "message": re.compile(
                "there is no module 'uncalled', neither in .*/work nor in Python's path"
            ),
        },
    ),
    "param-missing": (
        {"python": "called:reported"},
        {
            **FAILED,
            "message": "called:reported needs 'year', which `params` does not contain",
        },
    ),
    "environment": (
        {
            "shell": ENVIRONMENT,
            "environment": {"D": "request"},
            "environment_file": ["../work/a.env", "../work/b.env"],
            "params": {"year": 2026, "ledger": "main", "rows": [1, None]},
        },
        {
            "output_tail": "runner one two request\n"
            '{"year": 2026, "ledger": "main", "rows": [1, null]} 2026 main [1, null]\n',
        },
    ),
    "no-file": (
        {"shell": "true", "environment_file": "../work/gone.env"},
        {
            **UNSTARTED,
            "message": re.compile("environment file '.*/gone.env': .*(no such|does not exist).*"),
        },
    ),
    "bad-file": (
        {"shell": "true", "environment_file": "../work/bad.env"},
        {
            **UNSTARTED,
            "message": re.compile("environment file '.*/bad.env', line 2: (?!.*hunter2).*"),
        },
    ),
    "settings": (
        {"shell": "umask; nice; cat", "umask": "027", "nice": 5, "stdin": "¡olé!\n"},
        {"status": "success", "output_tail": "0027\n5\n¡olé!\n", "queue": "default"},
    ),
    "of-a-queue": (
        {"shell": "true", "queue": "gpu"},
        {"status": "success", "queue": "gpu", "node": re.compile(f"{HOST}|worker-.*")},
    ),
    "lenient": (
        {"shell": "exit 3", "success": {"exit_codes": [0, 3]}},
        {"status": "success", "exit_code": 3},
    ),
    "strict": (
        {"shell": "exit 0", "success": {"exit_codes": [3]}},
        {"reason": "exit_code", "message": "exit code 0 is not among `success.exit_codes`"},
    ),
    "complaining": (
        {"shell": "echo out; echo oh >&2", "success": {"fail_on_stderr": True}},
        {
            "status": "error",
            "reason": "stderr",
            "exit_code": 0,
            "message": "it wrote to standard error",
        },
    ),
    "quiet": (
        {"shell": "echo out", "success": {"fail_on_stderr": True}},
        {"status": "success", "reason": None},
    ),
    "unhappy": (
        {"shell": "echo it; echo FATAL", "success": {"fail_on_output": ["PANIC", "FATAL"]}},
        {
            "status": "error",
            "reason": "output",
            "exit_code": 0,
            "message": "its output contains `FATAL`",
            "output_tail": "it\nFATAL\n",
        },
    ),
    "unhappy-and-wrong": (
        {"shell": "echo FATAL; exit 3", "success": {"fail_on_output": ["FATAL"]}},
        {"status": "error", "reason": "exit_code", "exit_code": 3},
    ),
    "happy": (
        {"shell": "echo not fatal", "success": {"fail_on_output": ["FATAL"]}},
        {"status": "success", "reason": None},
    ),
    "met": (
        {"shell": "cat -; pwd", "if": {"shell": "cat -; pwd"}, "stdin": "in\n"},
        {"status": "success", "output_tail": re.compile("(/.*\n)in\n\\1")},
    ),
    "not-met": (
        {"shell": "echo ran", "if": {"command": ["test", "-e", "missing"]}},
        {
            "status": "skipped",
            "reason": "condition",
            "exit_code": None,
            "message": "its condition was not met",
            "output_tail": "",
        },
    ),
    "misspelt": (
        {"shell": "echo ran", "if": {"shell": "no-such -e x"}},
        {
            "status": "error",
            "reason": "condition",
            "exit_code": None,
            "message": "its condition ended with exit code 127",
            "output_tail": re.compile("(?s)(?!.*ran).*no-such.*"),
        },
    ),
    "too-slow": (
        {"shell": "echo ran", "if": {"shell": "sleep 60", "timeout": "300ms"}},
        {
            "status": "error",
            "reason": "condition",
            "message": "its condition took longer than its timeout",
        },
    ),
    "conditionless": (
        {"shell": "echo ran", "if": {"command": ["no-such-program"]}},
        {
            **UNSTARTED,
            "message": re.compile("its condition: program 'no-such-program' is not in PATH .*"),
        },
    ),
    "nobody-there": (
        {"shell": "true", "run_as": {"user": "no-such-user"}},
        {**UNSTARTED, "message": "run_as: there is no user 'no-such-user' on this machine"},
    ),
}


def test_each_kind_of_process_gets_its_settings_and_its_record_shows_the_result(
    place: Place,
) -> None:
    work = _work(
        place,
        called_py=CALLED,
        a_env="B=one\nC=one\nD=one\n",
        b_env="C=two\n",
        bad_env="A=1\n'hunter2\n",
    )
    place.environment |= {"A": "runner", "B": "runner", "C": "runner", "D": "runner"}
    for name, (process, _) in KINDS.items():
        _request(place, name, NOW, **process)
    place.add_worker("default", "gpu")
    runner = place.start()
    differences = {
        name: _differences(_only(place, name), expected) for name, (_, expected) in KINDS.items()
    }
    assert not {name: found for name, found in differences.items() if found}

    (work / "b.env").write_text("C=new\n")
    again = place.run("exec", "environment", "--param", "year=2027", "--param", "rows=many")
    assert again.stdout == (
        'runner one new request\n{"year": 2027, "ledger": "main", "rows": "many"} 2027 main many\n'
    ), again.stderr
    called = place.run("exec", "callable", "--param", "year=2027", "--param", 'ledger="2"')
    assert (called.returncode, called.stdout) == (0, "closing 2027\n")
    assert (
        _only(place, "callable", channel="direct")["message"]
        == "returned {'year': 2027, 'ledger': '2'}"
    )
    assert "\x1b" not in place.run("monitor", "--request", "exception").stdout
    assert place.stop(runner) == 0


@pytest.mark.skipif(not IS_ROOT, reason="only root may become somebody else")
def test_run_as_gives_all_ids_of_the_user_and_no_access_to_other_files(place: Place) -> None:
    private = place.folder / "private"
    private.mkdir(mode=0o700)
    for name in ("runner", "schemas"):
        shutil.copytree(ROOT / name, private / name, ignore=shutil.ignore_patterns("__pycache__"))
    place.environment["PYTHONPATH"] = str(private)
    run_as: dict[str, Any] = {"run_as": {"user": "nobody"}, "directory": "/"}
    _request(place, "other", NOW, shell='echo "$HOME $USER $LOGNAME" $(id -un; id -Gn)', **run_as)
    _request(place, "called", NOW, python="os:getuid", **run_as)
    _request(place, "entering", NOW, shell="true", **run_as | {"directory": str(private)})
    runner = place.start()
    nobody = pwd.getpwnam("nobody")
    groups = [grp.getgrgid(number).gr_name for number in os.getgrouplist("nobody", nobody.pw_gid)]
    reported = [nobody.pw_dir, "nobody", "nobody", "nobody", *groups]
    assert _only(place, "other")["output_tail"].split() == reported
    unread = (
        f"run_as: that user may not read '{private}/runner/execution/child/calling.py', "
        f"a part of this runner"
    )
    assert not _differences(_only(place, "called"), {**UNSTARTED, "message": unread})
    closed = f"no permission to enter directory '{private}'"
    assert not _differences(_only(place, "entering"), {**UNSTARTED, "message": closed})
    assert place.stop(runner) == 0


@pytest.mark.skipif(not IS_ROOT, reason="only root may become somebody else")
def test_under_run_as_the_environment_is_that_of_a_login(
    place: Place,
) -> None:
    place.environment |= {
        "LANG": "C.UTF-8",
        "API_KEY": "root's own",
        "PATH": f"/root/bin:{os.environ['PATH']}",
    }
    (place.jobs / "files.env").write_text("FILED=file\n")
    more: dict[str, Any] = {
        "environment": {"SAID": "request"},
        "environment_file": "files.env",
        "directory": "/",
    }
    _request(
        place,
        "other",
        NOW,
        shell="env -0 | sort -z | tr '\\0' '\\n'",
        run_as={"user": "nobody"},
        **more,
    )
    _request(place, "root", NOW, shell='echo "$PATH"', run_as={"user": "root"}, **more)
    runner = place.start()
    environment = dict(
        line.split("=", 1) for line in _only(place, "other")["output_tail"].splitlines()
    )
    own = {
        name: value
        for name, value in environment.items()
        if not name.startswith("RUNNER_") and name != "PWD"
    }
    nobody = pwd.getpwnam("nobody")
    assert own == {
        "HOME": nobody.pw_dir,
        "USER": "nobody",
        "LOGNAME": "nobody",
        "SHELL": nobody.pw_shell,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "FILED": "***",
        "SAID": "request",
    }
    reported = {"EXECUTION_ID", "REQUEST", "SCHEDULED_FOR", "CHANNEL", "ATTEMPT"}
    if place.is_in_fleet:
        reported |= {"ATTEMPT_TOKEN"}
    assert {name for name in environment if name.startswith("RUNNER_")} == {
        f"RUNNER_{name}" for name in reported
    }
    path = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
    assert _only(place, "root")["output_tail"] == f"{path}\n"
    assert place.stop(runner) == 0


# --- secrets
# --------------------------------------------------------------------------------------


def _forms(secret: str) -> set[bytes]:
    """Return a secret as plain text, as a repr, as JSON and as ASCII JSON."""
    texts = (
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    )
    return {text.encode() for text in texts}


FORMS = {form for secret in (TOKEN, PASSWORD, API_KEY, SECRET_PATH) for form in _forms(secret)}
IN_PIECES = """
import os, time
for name in ("TOKEN", "PASSWORD", "API_KEY"):
    for count, byte in enumerate(os.environb[name.encode()]):
        os.write(1 + count % 2, bytes([byte]))
        time.sleep(0.001)
    print(flush=True)
os._exit(1)
"""


def _shown_in(place: Place) -> list[str]:
    """Return the files below the place that contain a secret, except its sources."""
    files = (path for path in place.folder.rglob("*") if path.is_file() and path.suffix != ".env")
    found = [str(path) for path in files if any(form in path.read_bytes() for form in FORMS)]
    return found + [
        row for row in stored_texts(place.store) if any(f in row.encode() for f in FORMS)
    ]


def test_a_member_that_is_not_scheduled_is_skipped_and_counts_neither_as_success_nor_as_failure(
    place: Place,
) -> None:
    members = [
        {"name": "first", "shell": "echo first"},
        {"name": "off", "shell": "touch ran", "scheduled": False},
        {"request": "other", "scheduled": False},
        {"name": "last", "shell": "echo last"},
    ]
    content = {
        "process": {"group": {"members": members, "stop_on_failure": True}},
        "timing": "run_immediately",
    }
    place.declare("other", "touch ran")
    place.write("all.yaml", json.dumps(content))
    runner = place.start()
    place.await_finished("all", channel="process_scheduler")
    ended = {record["process"]: record for record in place.finished("all")}
    assert {name: (record["status"], record["reason"]) for name, record in ended.items()} == {
        "all": ("success", None),
        "all/first": ("success", None),
        "all/off": ("skipped", "unscheduled"),
        "other": ("skipped", "unscheduled"),
        "all/last": ("success", None),
    }
    assert [ended[name]["sequence"] for name in ("all/first", "all/off", "other", "all/last")] == [
        1,
        2,
        3,
        4,
    ]
    assert not (place.jobs / "ran").exists()
    assert "scheduled false" in place.run("show", "all").stdout
    place.stop(runner)
    check_log(place.log)


def test_a_secret_appears_nowhere_and_is_refused_as_a_parameter(place: Place) -> None:
    lines = [
        f"TOKEN={TOKEN}",
        "PASSWORD=" + '"' + PASSWORD.replace("\\", "\\\\").replace('"', '\\"') + '"',
        "PORT=80",
    ]
    _work(place, called_py=CALLED, a_env="\n".join(lines), path_env=f"PATH={SECRET_PATH}\n")
    place.environment["API_KEY"] = API_KEY
    secret: dict[str, Any] = {"environment_file": "../work/a.env", "secrets": ["API_KEY"]}
    on_failure = {"on_failure": {"request": "notify"}}
    _request(
        place, "pieces", NOW, command=[sys.executable, "-c", IN_PIECES], top=on_failure, **secret
    )
    _request(place, "blurting", NOW, python="called:blurting", top=on_failure, **secret)
    _request(place, "telling", NOW, python="called:telling", **secret)
    _request(
        place,
        "pathless",
        NOW,
        command=["nothing"],
        environment_file="../work/path.env",
        top=on_failure,
    )
    _request(place, "notify", shell='echo "$RUNNER_FAILED_RECORD"')
    _request(place, "asked", shell='echo "$TOKEN $PASSWORD $API_KEY $PORT" >&2', **secret)
    _request(
        place, "chain", group={"members": [{"request": "asked"}, {"name": "own", "shell": "true"}]}
    )
    with place.acted_on():
        alone = place.run("exec", "asked", "--param", "year=2026", "--param", f"api_key={API_KEY}")
        assert (alone.returncode, alone.stderr) == (125, _refusal("asked", "api_key"))
        for value in (
            TOKEN,
            f"Bearer {TOKEN}",
            json.dumps([PASSWORD]),
            base64.b64encode(f"me:{TOKEN}".encode()).decode(),
        ):
            alone = place.run("exec", "chain", "--param", f"header={value}")
            assert (alone.returncode, alone.stderr) == (
                125,
                _refusal("chain", "header", "contains the value of one of its"),
            )
    runner = place.start()
    served = place.run("exec", "asked", "--param", f"header={TOKEN}")
    assert (served.returncode, served.stderr) == (
        125,
        _refusal("asked", "header", "contains the value of one of its"),
    )
    served = place.run("exec", "chain", "--param", f"API_KEY={API_KEY}")
    assert (served.returncode, served.stderr) == (125, _refusal("chain", "API_KEY"))
    asked = place.run("exec", "asked")
    place.await_finished("notify", count=3)
    assert asked.stdout == "*** *** *** 80\n"
    assert _only(place, "pieces")["output_tail"] == "***\n***\n***\n"
    assert _only(place, "blurting")["message"] == "ValueError: ('***', '***', '***')"
    telling = _only(place, "telling")
    assert (telling["message"], telling["output_tail"]) == (
        "returned ('***', '***')",
        '{"password": "***"}\n',
    )
    assert _only(place, "pathless")["message"] == "program 'nothing' is not in PATH (***)"
    printed = [place.run(*line).stdout for line in _looks(place)]
    assert all(printed)
    assert not [text for text in printed if any(form in text.encode() for form in FORMS)]
    assert not _shown_in(place)  # the store's write-ahead log is still there
    assert place.stop(runner) == 0
    assert not _shown_in(place)


def _refusal(request: str, param: str, what: str = "is one of its") -> str:
    secrets = "`secrets`" if what.startswith("is") else "secrets"
    return (
        f"runner: {request}: {param!r} {what} {secrets}, but the runner stores parameters"
        " unmasked; put the secret into an `environment_file` or the runner's own environment\n"
    )


def _looks(place: Place) -> list[tuple[str, ...]]:
    return [("log", _only(place, "blurting")["execution"]), ("monitor",), ("show", "asked")]


def test_the_tail_comes_only_from_the_file_that_received_the_output(place: Place) -> None:
    """A link or another file at its path could show masked text, or files that only the
    runner can read.
    """
    hidden = place.folder / "hidden"
    find = 'out=$(readlink /proc/$$/fd/1); rm "$out"'
    _work(place)
    (hidden).write_text("the runner's own\n")
    for name, put in {
        "link": f'ln -s {hidden} "$out"',
        "file": f'cp {hidden} "$out"',
        "fifo": 'mkfifo "$out"',
    }.items():
        _request(place, name, NOW, shell=f"echo mine; {find}; {put}")
    _request(place, "plain", NOW, shell="echo mine")
    runner = place.start()
    assert _only(place, "plain")["output_tail"] == "mine\n"
    for name in ("link", "file", "fifo"):
        record = _only(place, name)
        assert (record["status"], record["output_tail"], record["output_bytes"]) == (
            "success",
            "",
            0,
        )
    for name, words in {
        "link": "its process replaced it by a symbolic link",
        "fifo": "its process has put something else in its place",
    }.items():
        shown = place.run("log", _only(place, name)["execution"])
        if place.is_in_fleet:  # what the worker sent is in the store, not in the file
            assert (shown.returncode, shown.stdout) == (0, "")
        else:
            assert (shown.returncode, shown.stdout) == (1, "")
            assert words in shown.stderr
    assert place.stop(runner) == 0
