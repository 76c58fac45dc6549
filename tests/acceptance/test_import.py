"""`import`, as a person uses it: its files are valid and run, and its report is complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.place import Place

from runner.cli.group import cli
from runner.errors import UsageError

SAMPLES = Path(__file__).parents[1] / "unit" / "samples"


def imported(place: Place, *arguments: str, source: str | None = None) -> Result:
    """Run the command in this process, because a new process is slow to start."""
    return CliRunner(env={**place.environment, "HOME": str(place.folder)}).invoke(
        cli, ["import", *arguments], input=source
    )


def items(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def valid(place: Place, folder: Path) -> str:
    done = CliRunner(env=place.environment).invoke(cli, ["validate", str(folder)])
    assert done.exit_code == 0, done.output
    return done.stderr


@pytest.mark.parametrize(
    ("kind", "name", "written"),
    [
        ("crontab", "maria.crontab", 9),
        ("kubernetes", "cronjobs.yaml", 3),
        ("yacron", "yacrontab.yaml", 6),
        ("openbravo", "process_request.csv", 10),
        ("openbravo", "process_request.xml", 2),
    ],
)
def test_each_source_becomes_valid_files_and_a_report(
    place: Place, kind: str, name: str, written: int
) -> None:
    result = imported(place, kind, str(SAMPLES / name))
    assert result.exit_code == 1, result.output  # each sample has differences
    files = sorted(place.jobs.iterdir())
    assert [f"wrote {file}" for file in files] == sorted(result.stdout.splitlines())
    assert valid(place, place.jobs).startswith(f"{written} requests, all valid")
    assert f"{written} requests written" in result.stderr.splitlines()[-1]
    for line in result.stderr.splitlines():
        assert line.startswith((f"{SAMPLES / name}:", "    ", f"{written} requests"))
    assert all("\n# From " in file.read_text() for file in files)


def test_an_imported_request_runs_and_import_overwrites_nothing(place: Place) -> None:
    crontab = 'MAILTO=""\n# Greet\n*/5 * * * * echo "$((6*7)) in $PWD at 100\\%"\n'
    result = imported(place, "crontab", "-", source=crontab)
    assert (result.exit_code, result.stdout) == (0, f"wrote {place.jobs / 'echo.yaml'}\n")
    with place.acted_on():
        assert place.run("exec", "echo").stdout == f"42 in {place.folder} at 100%\n"

    before = (place.jobs / "echo.yaml").read_text()
    again = imported(place, "crontab", "-", source=crontab)
    assert isinstance(again.exception, UsageError)
    assert "exist already" in str(again.exception)
    assert "nothing was written" in str(again.exception)
    renamed = place.jobs / "echo.yaml"
    renamed.rename(place.jobs / "other.yaml")
    taken = imported(place, "crontab", "-", "-o", str(place.jobs / "below"), source=crontab)
    assert isinstance(taken.exception, UsageError)
    assert "the request echo" in str(taken.exception)
    assert [file.name for file in place.jobs.iterdir() if file.suffix == ".yaml"] == ["other.yaml"]
    assert (place.jobs / "other.yaml").read_text() == before


def test_a_dry_run_prints_one_valid_file_and_writes_none(place: Place) -> None:
    result = imported(place, "yacron", str(SAMPLES / "yacrontab.yaml"), "--dry-run")
    assert list(place.jobs.iterdir()) == []
    assert result.stderr.splitlines()[-1] == "6 requests would be written, 3 of them unscheduled"
    place.write("all.yaml", result.stdout)
    assert valid(place, place.jobs).startswith("6 requests, all valid")


def test_an_invalid_request_is_reported_and_not_written(place: Place) -> None:
    jobs = (
        "jobs: [{name: a, command: a, schedule: '* * * * *', environment: [{key: A=B, value: c}]},"
    )
    result = imported(
        place, "yacron", "-", source=f"{jobs} {{name: b, command: b, schedule: '* * * * *'}}]\n"
    )
    assert result.exit_code == 1
    assert [file.name for file in place.jobs.iterdir()] == ["b.yaml"]
    assert "a: it is not written, because it would be invalid here: `A=B` " in result.stderr
    assert result.stderr.splitlines()[-1] == "1 request written, 1 left out"


def test_the_report_as_json_lines(place: Place) -> None:
    result = imported(
        place, "crontab", str(SAMPLES / "maria.crontab"), "--output", "json", "--dry-run"
    )
    reported = items(result)
    requests = {item["request"]: item for item in reported if "severity" not in item}
    assert requests["agent"] == {
        "request": "agent",
        "line": 15,
        "file": str(place.jobs / "agent.yaml"),
        "scheduled": False,
        "text": requests["agent"]["text"],
    }
    assert requests["line-19"] | {"text": None} == requests["line-19"]
    assert requests["line-19"]["file"] is None
    remarks = [item for item in reported if "severity" in item]
    assert {item["severity"] for item in remarks} == {"changed", "differs", "note"}
    (reboot,) = (item for item in remarks if item["request"] == "agent")
    assert reboot.keys() == {"line", "severity", "message", "suggestion", "request"}
    assert result.stderr == ""


def test_the_given_zone_and_template_are_written_into_a_new_folder(place: Place) -> None:
    folder = place.folder / "new" / "erp"
    arguments = [
        "--timezone",
        "Europe/Madrid",
        "--command",
        "erp-run --key '{process}'",
        "-o",
        str(folder),
    ]
    result = imported(place, "openbravo", str(SAMPLES / "process_request.csv"), *arguments)
    assert result.exit_code == 1
    text = (folder / "alert-process.yaml").read_text()
    assert "command: [erp-run, --key, AlertProcess]\n" in text
    assert "timezone: Europe/Madrid\n" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["crontab", "/nowhere/crontab"], "cannot be read: No such file or directory"),
        (["crontab", "/"], "cannot be read: it is a folder, not a file"),
        (["yacron", "-", "--system"], "--system applies only to crontab"),
        (["yacron", "-", "--command", "x"], "--command applies only to openbravo"),
        (["openbravo", "-", "--command", "'x"], "cannot be read: No closing quotation"),
    ],
)
def test_wrong_usage_gets_a_clear_message(place: Place, arguments: list[str], words: str) -> None:
    result = imported(place, *arguments, source="")
    assert isinstance(result.exception, UsageError)
    assert words in str(result.exception)


def test_a_command_that_the_shell_cannot_parse_is_unscheduled(place: Place) -> None:
    result = imported(place, "crontab", "-", source="0 5 * * * echo 'open\n1 5 * * * echo fine\n")
    assert result.exit_code == 1
    assert "/bin/sh cannot parse its command" in result.stderr
    assert result.stderr.splitlines()[-1] == "2 requests written, 1 of them unscheduled"


@pytest.mark.parametrize("where", ["jobs.d", "imported/below"])
@pytest.mark.parametrize("has_schema", [True, False])
def test_the_schema_that_an_imported_file_names_exists(
    place: Place, where: str, *, has_schema: bool
) -> None:
    if has_schema:
        (place.folder / "schemas").mkdir()
        (place.folder / "schemas" / "process-request.schema.json").write_text("{}")
    folder = place.folder / where
    imported(place, "crontab", "-", "-o", str(folder), source="0 5 * * * job\n")
    (line,) = (folder / "job.yaml").read_text().splitlines()[:1]
    schema = folder / line.partition("$schema=")[2]
    assert schema.is_file()
    assert schema.is_relative_to(folder) is has_schema
