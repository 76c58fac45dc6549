"""Crontabs: variables, users, comments, percent signs, nicknames, and features of cron
without a counterpart.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.importing_world import data_of, messages

from runner.importing.imported import Import, Imported, ImportSettings, Severity
from runner.importing.importers.crontab import from_crontab

SAMPLE = (Path(__file__).parents[2] / "samples" / "maria.crontab").read_text()
SETTINGS = ImportSettings(default_zone="UTC", now=datetime(2026, 11, 22, tzinfo=UTC))
HOMES = {None: "/home/maria", "www-data": "/var/www"}


def read(text: str, *, has_users: bool = False, settings: ImportSettings = SETTINGS) -> Import:
    return from_crontab(text, settings, has_users=has_users, homes=HOMES.get)


def only(text: str, *, has_users: bool = False) -> Imported:
    (request,) = read(text, has_users=has_users).requests
    return request


def changes(request: Imported) -> list[str]:
    return messages(request, Severity.CHANGED)


def test_a_real_crontab_becomes_a_request_for_each_entry() -> None:
    requests = {request.name: request for request in read(SAMPLE).requests}
    assert list(requests) == [
        "dump-ledger", "poll_orders", "mail", "clean-tmp", "agent", "fortune", "dump-ledger-2",
        "ambiguous", "line-19", "report",
    ]  # fmt: skip
    assert data_of(requests["dump-ledger"]) == {
        "name": "dump-ledger",
        "description": "Nightly dump of the ledger, kept for a fortnight",
        "process": {
            "command": [
                "/bin/bash",
                "-c",
                "/home/maria/bin/dump-ledger.sh --keep 14 >>/home/maria/log/dump.log 2>&1",
            ],
            "environment": {"PATH": "/usr/local/bin:/usr/bin:/bin", "SHELL": "/bin/bash"},
            "directory": "/home/maria",
        },
        "timing": {"schedule": {"frequency": "cron", "expression": "30 2 * * *"}},
    }
    assert (
        data_of(requests["mail"])["process"]["stdin"] == "Dear Maria,\n\nplease close the month.\n"
    )
    unscheduled = {
        name
        for name, request in requests.items()
        if not (request.data or {}).get("scheduled", True)
    }
    assert unscheduled == {"agent", "ambiguous"}
    assert requests["line-19"].data is None
    assert {name for name, request in requests.items() if changes(request)} == unscheduled | {
        "line-19"
    }


def test_remarks_have_the_line_and_file_remarks_appear_once() -> None:
    imported = read(SAMPLE)
    assert [(remark.line, remark.severity) for remark in imported.remarks] == [
        (1, Severity.NOTE), (1, Severity.NOTE), (1, Severity.NOTE), (10, Severity.DIFFERS),
    ]  # fmt: skip
    lines = {remark.line for request in imported.requests for remark in request.remarks}
    assert lines == {13, 14, 15, 18, 19, 21}


def test_a_variable_applies_only_to_the_entries_below_it() -> None:
    first, second = read(
        "0 1 * * * a\nPATH = '/opt/bin'\nCRON_TZ=Asia/Tokyo\nHOME=/srv\nX=\" y \"\n0 2 * * * b\n"
    ).requests
    assert data_of(first)["process"] == {
        "shell": "a",
        "environment": {"PATH": "/usr/bin:/bin"},
        "directory": "/home/maria",
    }
    assert data_of(second)["process"] == {
        "shell": "b",
        "environment": {"PATH": "/opt/bin", "HOME": "/srv", "X": " y "},
        "directory": "/srv",
    }
    assert data_of(second)["timing"]["schedule"]["timezone"] == "Asia/Tokyo"
    assert "timezone" not in data_of(first)["timing"]["schedule"]


def test_a_system_crontab_names_users_and_their_homes_are_looked_up() -> None:
    text = (
        "17 *\t* * *\twww-data    cd / && run-parts --report /etc/cron.hourly\n"
        "@daily nobody-here /bin/x\n"
    )
    hourly, daily = read(text, has_users=True).requests
    assert hourly.name == "run-parts"
    assert data_of(hourly)["process"] == {
        "shell": "cd / && run-parts --report /etc/cron.hourly",
        "run_as": {"user": "www-data"},
        "environment": {"PATH": "/usr/bin:/bin"},
        "directory": "/var/www",
    }
    assert changes(hourly) == []
    assert data_of(daily)["scheduled"] is False
    assert "home folder of nobody-here, which is unknown on this machine" in changes(daily)[0]
    assert only("0 1 * * * www-data", has_users=True).data is None
    assert "looks like a user" in changes(only("0 1 * * * root /bin/x"))[0]


@pytest.mark.parametrize(
    ("command", "shell", "stdin"),
    [
        ("date +\\%F", "date +%F", None),
        ("cat%", "cat", "\n"),
        ("cat%a", "cat", "a\n"),
        ("cat%a%b", "cat", "a\nb\n"),
        ("cat%a%b%", "cat", "a\nb\n"),
        ("cat%a\\%b", "cat", "a%b\n"),
        ("echo \\n \\\\%a", "echo \\n \\\\", "a\n"),
        ("printf 'a\\tb'", "printf 'a\\tb'", None),
    ],
)
def test_percent_signs_separate_the_command_from_its_input(
    command: str, shell: str, stdin: str | None
) -> None:
    process = data_of(only(f"0 1 * * * {command}"))["process"]
    assert (process["shell"], process.get("stdin")) == (shell, stdin)


@pytest.mark.parametrize(
    ("line", "expression"),
    [
        ("@yearly x", "0 0 1 1 *"),
        ("@Monthly x", "0 0 1 * *"),
        ("@weekly x", "0 0 * * 0"),
        ("@midnight x", "0 0 * * *"),
        ("@hourly x", "0 * * * *"),
        ("-*/5 * * * * x", "*/5 * * * *"),
        ("0 0 */2 * 1 x", "0 0 */2 * 1"),
        ("0 0 * jan,MAR sun x", "0 0 * jan,MAR sun"),
    ],
)
def test_times_are_carried_over_as_cron_reads_them(line: str, expression: str) -> None:
    request = only(line)
    assert data_of(request)["timing"]["schedule"]["expression"] == expression
    assert changes(request) == []


@pytest.mark.parametrize(
    "line", ["@every_minute x", "@reboot x", "0~30 * * * * x", "0 0 L * * x", "0 25 * * * x"]
)
def test_a_time_without_a_counterpart_leaves_the_request_unscheduled(line: str) -> None:
    request = only(line)
    assert data_of(request)["scheduled"] is False
    assert data_of(request).get("timing") == ("run_immediately" if "@reboot" in line else None)
    assert len(changes(request)) == 1


@pytest.mark.parametrize("line", ["x", "0 1 * * *", "FOO", "0 1 * * x", "; 1 * * * x", "@daily"])
def test_a_line_that_is_not_an_entry_is_reported_and_not_written(line: str) -> None:
    request = only(line)
    assert request.data is None
    assert "is not written" in changes(request)[0]


def test_comments_right_above_an_entry_describe_it_except_old_entries_and_ornaments() -> None:
    live = "# Header\n\n# one\n#   two\n0 1 * * * a\n# m h dom mon dow\n0 2 * * * b\n"
    text = live + "# x\n#*/5 * * * * old\n0 3 * * * c\n#---\n0 4 * * * d"
    described = [data_of(request).get("description") for request in read(text).requests]
    assert described == ["one two", None, None, None]


def test_an_empty_mailto_and_a_given_zone_leave_no_difference() -> None:
    settings = ImportSettings(default_zone="UTC", zone="Europe/Madrid", now=SETTINGS.now)
    imported = read('MAILTO=""\n*/5 * * * * x\n', settings=settings)
    (request,) = imported.requests
    assert data_of(request)["timing"]["schedule"] == {
        "frequency": "cron",
        "expression": "*/5 * * * *",
        "timezone": "Europe/Madrid",
    }
    assert {remark.severity for remark in imported.all_remarks()} == {Severity.NOTE}
    assert read("# nothing\n").requests == ()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/env FOO=1 python3 -m http.server", "http.server"),
        (
            "test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )",
            "run-parts",
        ),
        ("[ -x /usr/lib/php/sessionclean ] && /usr/lib/php/sessionclean", "sessionclean"),
        ("flock -n /tmp/l /opt/sync.sh", "sync"),
        ("sudo -u www php /var/www/cron.php", "www"),
        ("$PROGRAM --all", "line-1"),
    ],
)
def test_a_request_is_named_after_its_program(command: str, name: str) -> None:
    assert only(f"0 1 * * * {command}").name == name


@pytest.mark.parametrize(
    ("command", "is_changed"),
    [
        ("deploy /usr/bin/job --all", True),
        ("deploy /srv/job.sh", True),
        ("www-data /var/www/job", True),
        ("www-data php job.php", True),
        ("root test -x /usr/sbin/anacron || true", True),
        ("deploy /srv/data", False),
        ("rsync /usr/bin/a /usr/bin/b", False),
        ("sh /usr/local/bin/job.sh", False),
        ("nice /usr/bin/job", False),
        ("/usr/bin/job /usr/bin/other", False),
        ("deploy", False),
    ],
)
def test_a_user_in_front_of_a_command_is_recognised(command: str, *, is_changed: bool) -> None:
    assert (
        any("looks like a user" in message for message in changes(only(f"0 5 * * * {command}\n")))
        is is_changed
    )


@pytest.mark.parametrize(
    ("line", "is_changed"),
    [
        ("/usr/bin/job --all", True),
        ("cd /srv && ./job", True),
        ("[ -x /bin/job ] && job", True),
        ("rsync -a a b", True),
        ("job --all", True),
        ("www-data /usr/bin/job", False),
        ("postgres psql", False),
    ],
)
def test_a_program_in_the_place_of_a_user_is_recognised(line: str, *, is_changed: bool) -> None:
    reported = changes(only(f"0 5 * * * {line}\n", has_users=True))
    assert any("looks like a program" in message for message in reported) is is_changed


@pytest.mark.parametrize(
    "variable", ["CRON_TZ=Europe/Madrid", "RANDOM_DELAY=30", "RANDOM_DELAY=soon"]
)
def test_a_variable_that_only_one_cron_reads_is_a_difference(variable: str) -> None:
    request = only(f"{variable}\n0 5 * * * job\n")
    assert any(variable in message for message in messages(request, Severity.DIFFERS))
    assert data_of(request)["timing"]["schedule"].get("spread") == (
        "30m" if variable.endswith("=30") else None
    )


def test_a_last_entry_without_a_newline_is_reported() -> None:
    assert any("no newline" in each for each in messages(only("0 5 * * * job"), Severity.DIFFERS))
    assert not any(
        "no newline" in each for each in messages(only("0 5 * * * job\n"), Severity.DIFFERS)
    )


@pytest.mark.parametrize(
    ("command", "is_mailed"),
    [
        ("job >/dev/null 2>&1", False),
        ("job &>/dev/null", False),
        ("job > /dev/null 2> /dev/null", False),
        ("cd /srv && job >>/dev/null 2>&1", False),
        ("job >/dev/null", True),
        ("job 2>&1 >/dev/null", True),
        ("job; other >/dev/null 2>&1", True),
        ("job | other >/dev/null 2>&1", True),
        ("job", True),
    ],
)
def test_mail_is_reported_only_if_there_is_output_to_mail(command: str, *, is_mailed: bool) -> None:
    remarks = read(f"0 5 * * * {command}\n").remarks
    assert any("mails the output" in remark.message for remark in remarks) is is_mailed
