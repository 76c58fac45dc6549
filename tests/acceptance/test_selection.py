"""Selections: one set of options that means the same requests in every command."""

from __future__ import annotations

import json
import signal

import pytest
from support.place import GATE, Place, acts_alone, end_of, wait_until

DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "timezone": "UTC"}}
HOSTILE = {"a=b": "c=d", "note": "$(touch pwned) `id`; 'x' \"y\"", "esc": "\x1b[31m\nred", "e": ""}


@pytest.fixture
def team(place: Place) -> Place:
    """Two requests of a team, one of another, one with hostile labels and one without any."""
    finance = {"owner": "finance", "labels": {"team": "finance", "tier": "gold"}}
    place.declare("nightly-posting", "exit 3", DAILY, top=finance)
    place.declare("month-end", "true", DAILY, top=finance)
    place.declare("nightly-backup", "true", DAILY, top={"owner": "ops", "labels": {"team": "ops"}})
    place.declare("hostile", "true", DAILY, top={"owner": "-x *", "labels": HOSTILE})
    place.declare("plain", "true")
    return place


def _names(place: Place, *arguments: str) -> list[str]:
    return [item["request"] for item in place.items("ls", *arguments)]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (["nightly-*"], ["nightly-backup", "nightly-posting"]),
        (["--label", "team=finance"], ["month-end", "nightly-posting"]),
        (["nightly-*", "--label", "team=finance"], ["nightly-posting"]),
        (["--owner", "ops", "--owner", "finance", "*-[be]*"], ["month-end", "nightly-backup"]),
        (["--status", "definition"], ["plain"]),
        (["--owner=-x *"], ["hostile"]),
        *((["--label", f"{key}={value}"], ["hostile"]) for key, value in HOSTILE.items()),
    ],
)
def test_ls_and_next_show_the_selected_requests(
    team: Place, selection: list[str], expected: list[str]
) -> None:
    assert _names(team, *selection) == expected
    fires = {item["request"] for item in team.items("next", "-n", "40", *selection)}
    assert fires == set(expected) - {"plain"}


def test_ls_gives_labels_and_owners_as_json(team: Place) -> None:
    found = {item["request"]: (item["owner"], item["labels"]) for item in team.items("ls")}
    assert found["hostile"] == ("-x *", HOSTILE)
    assert found["plain"] == (None, {})
    assert team.items("show", "month-end")[0]["labels"] == {"team": "finance", "tier": "gold"}


def test_failing_selects_by_the_last_result_also_after_a_restart(team: Place) -> None:
    shown = team.run("ls", "--failing")
    assert (shown.returncode, shown.stderr) == (0, "no selected request is failing\n")
    runner = team.start()
    for name in ("nightly-posting", "month-end"):
        team.run("exec", name)
    assert _names(team, "--failing") == ["nightly-posting"]
    runner.kill()
    runner.wait()
    assert team.stop(team.start()) == 0
    assert _names(team, "--failing") == ["nightly-posting"]
    assert {item["request"] for item in team.items("next", "--failing")} == {"nightly-posting"}


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (["--label", "taem=finance"], "did you mean 'team=finance'?"),
        (["--label", "region=eu"], r"the labels are a=b=c=d, e=, esc=\x1b[31m\x0ared, note=$("),
        (["--label", "team"], "--label takes KEY=VALUE"),
        (["--owner", "finanse"], "did you mean 'finance'?"),
        (["weekly-*"], "no request matches 'weekly-*'"),
        (["nightly-postign"], "did you mean 'nightly-posting'?"),
        (["--", "-x*"], "no request matches '-x*'"),
        (["plain", "--owner", "ops"], "no request meets all of: plain, --owner ops"),
    ],
)
def test_a_selection_that_no_request_can_meet_is_refused_like_an_unknown_name(
    team: Place, selection: list[str], words: str
) -> None:
    unknown = team.run("next", "no-such-request")
    for command in ("ls", "next"):
        done = team.run(command, *selection)
        assert words in done.stderr
        assert (done.returncode, done.stdout) == (unknown.returncode, "")
    assert "\x1b" not in done.stderr


def test_an_invalid_file_is_selected_by_status_and_keeps_the_labels_of_its_last_version(
    team: Place,
) -> None:
    runner = team.start()
    team.write("month-end.yaml", json.dumps({"process": {"shel": "true"}}))
    team.write("new.yaml", "process: 5\n")
    assert team.run("reload").returncode == 1
    assert _names(team, "--status", "invalid") == ["month-end", "new"]
    assert _names(team, "--label", "tier=gold") == ["month-end", "nightly-posting"]
    assert team.stop(runner) == 0


def _statuses(place: Place) -> dict[str, str]:
    return {item["request"]: item["status"] for item in place.items("ls")}


@pytest.mark.parametrize("is_served", [True, pytest.param(False, marks=acts_alone)])
def test_a_button_names_the_selected_requests_and_presses_them_all(
    team: Place, is_served: bool
) -> None:
    runner = team.start() if is_served else None
    before = _statuses(team)
    done = team.run("unschedule", "--label", "team=finance", "--label", "team=ops")
    assert done.returncode == 0, done.stderr
    chosen = ["month-end", "nightly-backup", "nightly-posting"]
    assert done.stderr == f"selected 3 to unschedule: {', '.join(chosen)}\n"
    assert done.stdout.splitlines() == [
        f"{name}: unscheduled (differs from its file)" for name in chosen
    ]
    assert _statuses(team) == before | dict.fromkeys(chosen, "unscheduled")
    if runner is not None:
        runner.kill()
        runner.wait()
    runner = team.start()
    assert _names(team, "--status", "unscheduled") == chosen
    done = team.run("schedule", "nightly-*", "--status", "unscheduled")
    assert done.stdout.splitlines() == ["nightly-backup: scheduled", "nightly-posting: scheduled"]
    assert _names(team, "--status", "unscheduled") == ["month-end"]
    assert {event["requested_by"] for event in team.events("request.unscheduled")} != {None}
    assert team.stop(runner) == 0


def test_a_button_acts_on_nothing_if_one_part_of_the_selection_is_wrong(team: Place) -> None:
    runner = team.start()
    before = _statuses(team)
    for wrong in (
        ["nightly-*", "weekly-*"],
        ["nightly-*", "nightly-postign"],
        ["--label", "team=finance", "--label", "taem=ops"],
        ["--label", ""],
        ["--owner", ""],
    ):
        done = team.run("unschedule", *wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert "selected" not in done.stderr
    assert _statuses(team) == before
    assert not team.events("request.unscheduled")
    assert team.stop(runner) == 0


def test_a_selection_of_requests_in_another_state_presses_no_button_and_succeeds(
    team: Place,
) -> None:
    done = team.run("schedule", "--status", "unscheduled")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "no selected request is unscheduled\n"


def test_a_button_passes_over_definitions_and_reports_each_refusal(team: Place) -> None:
    runner = team.start()
    done = team.run("unschedule", "p*")
    assert done.returncode == 1
    assert "every selected request is a definition, without a timing" in done.stderr
    team.write("month-end.yaml", json.dumps({"process": {"shel": "true"}}))
    team.write("nightly-new.yaml", "process: 5\n")
    assert team.run("reload").returncode == 1
    done = team.run("unschedule", "*")
    assert done.returncode == 1
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert set(lines) == {
        "hostile",
        "month-end",
        "nightly-backup",
        "nightly-new",
        "nightly-posting",
    }
    assert lines["nightly-new"].startswith("refused, 'nightly-new' has no valid version")
    assert {name for name, said in lines.items() if said.startswith("unscheduled")} == (
        set(lines) - {"nightly-new"}
    )
    assert team.stop(runner) == 0


@pytest.mark.sqlite_only("each node of a fleet has a jobs folder of its own")
def test_a_selection_means_the_runners_own_folder_where_there_is_none_at_hand(team: Place) -> None:
    runner = team.start()
    elsewhere = team.folder / "elsewhere"
    done = team.run("unschedule", "nightly-*", "--jobs", str(elsewhere))
    assert done.returncode == 0, done.stderr
    assert _names(team, "--status", "unscheduled") == ["nightly-backup", "nightly-posting"]
    elsewhere.mkdir()
    done = team.run("schedule", "nightly-*", "--jobs", str(elsewhere))
    assert done.returncode == 1
    assert f"belongs to {team.jobs}, not to {elsewhere}" in done.stderr
    assert team.stop(runner) == 0


def test_kill_stops_what_runs_among_the_selected_requests(place: Place) -> None:
    finance = {"owner": "finance", "labels": {"team": "finance"}}
    place.declare("a-posting", GATE, top=finance)
    place.declare("a-report", GATE, top=finance)
    place.declare("b-backup", GATE, top={"labels": {"team": "ops"}})
    members = [{"name": "load", "shell": GATE}, {"name": "check", "shell": "true"}]
    group = {"owner": "finance", "process": {"group": {"members": members}}}
    place.write("month-end.yaml", json.dumps(group))
    done = place.run("kill", "--owner", "finance")
    assert done.returncode == 4
    place.add_worker()
    runner = place.start()
    done = place.run("kill", "--owner", "finance")
    assert (done.returncode, done.stderr) == (1, "runner: no selected request is running\n")
    begun = {name: place.begin("exec", name) for name in ("a-posting", "b-backup", "month-end")}
    wait_until(lambda: len(place.events("execution.started")) == 4)

    done = place.run("kill", "month-end/*")
    assert done.stderr == "selected 1 to kill: month-end/load\n"
    assert end_of(begun["month-end"])[0] == 1
    done = place.run("kill", "--label", "team=finance")
    assert done.stderr == "selected 1 to kill: a-posting\n"
    assert done.stdout.startswith("a-posting: killing ")
    assert end_of(begun["a-posting"])[0] != 0
    place.run("kill", "[!a]*")
    assert end_of(begun["b-backup"])[0] != 0
    assert [each["status"] for each in place.finished("a-posting")] == ["killed"]
    assert not place.finished("a-report")
    assert place.stop(runner) == 0


def test_kill_finds_an_execution_whose_file_is_gone_by_the_labels_it_started_with(
    place: Place,
) -> None:
    file = place.declare("old", GATE, top={"labels": {"team": "finance"}, "owner": "ana"})
    place.declare("other", "true")
    runner = place.start()
    begun = place.begin("exec", "old")
    wait_until(lambda: place.events("execution.started"))
    file.unlink()
    wait_until(lambda: place.events("request.removed"))
    runner.kill()
    runner.wait()
    runner = place.start()
    done = place.run("kill", "--label", "team=finance", "--owner", "ana", "o*")
    assert done.stderr == "selected 1 to kill: old\n"
    place.await_finished("old")
    end_of(begun)
    assert place.stop(runner) == 0


def test_show_and_explain_print_each_selected_request(team: Place) -> None:
    finance = ["month-end", "nightly-posting"]
    for command in ("show", "explain"):
        items = team.items(command, "--label", "team=finance")
        assert [item["request"] for item in items] == finance
    first, second = team.run("show", "--owner", "finance").stdout.split("\n\n")
    assert "month-end" in first.splitlines()[0]
    assert "nightly-posting" in second.splitlines()[0]
    resolved = team.items("show", "--resolved", "--owner", "finance")
    assert {item["request"] for item in resolved} == set(finance)
    explained = team.run("explain", "nightly-*", "plain", "-n", "1").stdout
    assert [part.splitlines()[0] for part in explained.split("\n\n") if part[0] != "N"] == [
        "nightly-backup",
        "nightly-posting",
        "plain",
    ]
    for command in ("show", "explain"):
        assert "give " in team.run(command).stderr
        done = team.run(command, "--label", "taem=finance")
        assert (done.returncode, done.stdout) == (2, "")
        assert "did you mean 'team=finance'?" in done.stderr


def test_explain_reads_an_expression_before_a_glob_and_asks_for_quotes(team: Place) -> None:
    assert [item["request"] for item in team.items("explain", "*")] == _names(team)
    assert "expression" in team.items("explain", "*/5 * * * *")[0]
    for arguments, words in (
        (["*/5"], "it has 1 field"),
        (["0", "2", "*", "*", "1-5"], "put the expression in quotes: '0 2 * * 1-5'"),
        (["0", "2", "notes.txt", "notes.txt", "1-5"], "put the expression in quotes"),
        (["0 2 * * *", "--owner", "ops"], "an expression has no label, owner"),
    ):
        done = team.run("explain", *arguments)
        assert done.stdout == ""
        assert words in done.stderr


def test_explain_at_answers_for_each_selected_request(team: Place) -> None:
    answers = team.items("explain", "--owner", "finance", "--at", "2030-01-01 02:00+01:00")
    assert [answer["request"] for answer in answers] == ["month-end", "nightly-posting"]


def test_an_invalid_request_in_a_selection_is_named_and_the_others_are_shown(team: Place) -> None:
    team.write("nightly-new.yaml", "process: 5\n")
    for command in ("next", "explain"):
        done = team.run(command, "nightly-*")
        assert done.returncode == 0
        assert "nightly-new is left out: nightly-new.yaml is invalid" in done.stderr
        assert "nightly-backup" in done.stdout


def test_monitor_selects_executions_by_what_their_records_say(team: Place) -> None:
    team.declare("slow", GATE, top={"owner": "ops", "labels": {"team": "ops"}})
    members = [{"name": "load", "shell": "true"}, {"name": "check", "shell": "exit 1"}]
    group = {"labels": {"team": "finance"}, "process": {"group": {"members": members}}}
    team.write("quarter.yaml", json.dumps(group))
    runner = team.start()
    for name in ("nightly-posting", "nightly-backup", "hostile", "quarter", "plain"):
        team.run("exec", name)
    begun = team.begin("exec", "slow")
    wait_until(lambda: team.events("execution.started", "slow"))

    def shown(*selection: str) -> set[str]:
        found = team.items("monitor", *selection)
        return {item["process"] for item in found}

    finance = {"nightly-posting", "quarter", "quarter/load", "quarter/check"}
    assert shown("--label", "team=finance") == finance
    assert shown("--owner", "ops") == {"nightly-backup", "slow"}
    assert shown("--owner", "ops", "--status", "processing") == {"slow"}
    assert shown("--request", "nightly-*", "--owner", "ops") == {"nightly-backup"}
    assert (
        shown("--request", "quarter/*")
        == shown("--request", "quarter › [cl]*")
        == {
            "quarter/load",
            "quarter/check",
        }
    )
    for key, value in HOSTILE.items():
        assert shown("--label", f"{key}={value}") == {"hostile"}
    assert shown("--owner=-x *") == {"hostile"}
    assert shown("--failing") == finance
    assert shown("--failing", "--owner", "finance") == {"nightly-posting"}
    team.open_gate()
    end_of(begun)
    runner.kill()
    runner.wait()
    assert shown("--label", "team=ops") == {"nightly-backup", "slow"}
    assert team.stop(team.start()) == 0


def test_monitor_without_an_execution_says_which_label_or_owner_is_wrong(team: Place) -> None:
    team.run("exec", "plain")
    for selection, words in (
        (["--label", "taem=finance"], "did you mean 'team=finance'?"),
        (["--owner", "finanse"], "did you mean 'finance'?"),
        (["--label", "team=finance"], "no execution matches\n"),
        (["--failing"], "no selected request is failing\nno execution matches\n"),
    ):
        done = team.run("monitor", *selection)
        assert (done.returncode, done.stdout.splitlines()[1:]) == (0, [])
        assert words in done.stderr


def test_monitor_follows_the_selected_executions(team: Place) -> None:
    runner = team.start()
    team.run("exec", "month-end")
    with team.on_terminal("monitor", "-f", "--owner", "finance", "--request", "*-end") as terminal:
        wait_until(lambda: "month-end" in terminal.shown())
        for name in ("nightly-posting", "nightly-backup", "month-end"):
            team.run("exec", name)
        wait_until(lambda: terminal.shown().count("month-end") == 2)
        assert "nightly" not in terminal.shown()
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ended() == 0
    assert team.stop(runner) == 0


def test_simulate_forecasts_the_selected_requests_alone(team: Place) -> None:
    span = ("--from", "2030-01-01", "--to", "2030-01-03")
    (all_of_them,) = team.items("simulate", *span)
    (finance,) = team.items("simulate", *span, "--label", "team=finance")
    assert {each["request"] for each in finance["requests"]} == {"month-end", "nightly-posting"}
    assert finance["requests"] == [
        each
        for each in all_of_them["requests"]
        if each["request"] in ("month-end", "nightly-posting")
    ]
    assert (finance["fires"], all_of_them["fires"]) == (6, 12)
    assert team.run("simulate", "--owner", "x").returncode == 2


def test_plan_shows_the_part_that_concerns_the_selected_requests(team: Place) -> None:
    assert team.stop(team.start()) == 0
    team.declare("month-end", "false", DAILY, top={"labels": {"team": "audit"}})
    team.declare("nightly-backup", "false", DAILY, top={"labels": {"team": "ops"}})
    (team.jobs / "nightly-posting.yaml").unlink()

    def planned(*selection: str) -> tuple[int, set[str]]:
        done = team.run("plan", "--output", "json", *selection)
        steps = map(json.loads, done.stdout.splitlines())
        return done.returncode, {step["request"] for step in steps if "fields" in step}

    changed = {"month-end", "nightly-posting", "nightly-backup"}
    assert planned() == (3, changed)
    assert planned("--label", "team=finance") == (3, {"month-end", "nightly-posting"})
    assert planned("--label", "team=audit") == (3, {"month-end"})
    assert planned("--label", "team=ops") == (3, {"nightly-backup"})
    assert planned("--owner=-x *") == (0, set())
    assert planned("--label", "taem=ops") == (2, set())
    assert planned("--failing") == (0, set())
    team.declare("hostile", "true", "never", top={"owner": "-x *"})
    assert planned("--label", "team=ops") == (3, {"nightly-backup"}), "it keeps another request"
    assert planned("--status", "invalid")[0] == 1
    team.write("unknown.yaml", "process: 5\n")
    assert planned("--label", "team=ops") == (1, {"nightly-backup"}), "whose it is is not known"
