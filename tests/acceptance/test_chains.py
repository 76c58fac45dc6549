"""Requests that run one after another, by `on_success` and `on_failure`, across crashes."""

from __future__ import annotations

import json
import re
import signal

from support.place import GATE, Place, check_log, wait_until

NOW = "run_immediately"


def test_a_chain_goes_on_after_each_crash_and_runs_each_link_once(place: Place) -> None:
    gate = GATE.replace("../go", "../$RUNNER_REQUEST")
    place.declare("extract", gate, NOW, top={"on_success": {"request": "load"}})
    following = {"on_failure": {"request": "page"}, "on_success": {"request": "extract-more"}}
    place.declare("load", f"{gate}; exit 3", top=following)
    place.declare("page", f'{gate}; printf %s "$RUNNER_RECORD"')
    place.declare("extract-more", "true")
    for link, next_link in (("extract", "load"), ("load", "page"), ("page", None)):
        runner = place.start()
        place.await_started(link)
        (place.folder / link).touch()
        place.await_finished(link)
        if next_link:  # a crash while it is being started may lose it, by contract
            place.await_started(next_link)
        place.stop(runner, by=signal.SIGKILL)
    runner = place.start()
    place.stop(runner)
    links = {link: place.finished(link) for link in ("extract", "load", "page")}
    assert {link: len(records) for link, records in links.items()} == dict.fromkeys(links, 1)
    (extract,), (load,), (page,) = links.values()
    assert (load["requested_by"], load["follows"]) == (
        "on_success of extract",
        extract["execution"],
    )
    assert (page["requested_by"], page["follows"]) == ("on_failure of load", load["execution"])
    assert json.loads(page["output_tail"]) == load
    assert not place.finished("extract-more")
    tree = ["extract", "└ load (on_success)", "  └ page (on_failure)"]
    assert _requests_in(place.run("monitor", "--tree").stdout) == tree
    assert _requests_in(place.run("monitor", "--tree", "--request", "page").stdout) == tree
    found = place.items("monitor", "--tree", "--status", "success")
    assert [record["request"] for record in found] == ["extract", "load", "page"]
    assert not place.items("monitor", "--tree", "--request", "extract-more")
    check_log(place.log)


def test_a_cycle_is_refused_with_the_whole_path(place: Place) -> None:
    for name, target in (("a", "b"), ("b", "c"), ("c", "a")):
        place.declare(name, "true", top={"on_success": {"request": target}})
    done = place.run("validate")
    assert done.returncode == 1
    assert "these requests would run after one another without end: a → b → c → a" in done.stdout


def test_a_person_who_runs_a_link_runs_no_follow_up(place: Place) -> None:
    place.declare("extract", "true", top={"on_success": {"request": "load"}})
    place.declare("load", "true")
    runner = place.start()
    assert place.run("exec", "extract").returncode == 0
    place.stop(runner)
    assert not place.finished("load")
    assert "the process of load" in place.run("show", "extract").stdout
    assert re.search("run_by +extract \\(on_success\\)", place.run("show", "load").stdout)


def test_a_running_group_is_shown_with_its_members(place: Place) -> None:
    members = [{"name": "first", "shell": "true"}, {"name": "last", "shell": GATE}]
    place.write("g.yaml", json.dumps({"process": {"group": {"members": members}}, "timing": NOW}))
    runner = place.start()
    wait_until(lambda: len(place.events("execution.started", "g")) == 3)
    shown = place.run("monitor", "--tree").stdout
    assert _requests_in(shown) == ["g", "└ first", "└ last"]
    assert place.run("monitor", "--tree", "-f").returncode == 2
    place.open_gate()
    place.stop(runner)


def test_plan_says_which_chains_a_change_touches(place: Place) -> None:
    place.declare("extract", "true", NOW, top={"on_success": {"request": "load"}})
    place.declare("load", "true", top={"on_failure": {"request": "page"}})
    place.declare("page", "true")
    runner = place.start()
    place.await_finished("load")
    place.stop(runner)
    place.declare("load", "false", top={"on_failure": {"request": "page"}})
    chain = "extract → load (on_success) → page (on_failure)"
    assert f"    in the chain {chain}\n" in place.run("plan", "--live").stdout
    done = place.run("plan", "--live", "--output", "json")
    step = json.loads(done.stdout.splitlines()[0])
    assert (step["chains"], step["chains_count"]) == ([chain], 1)
    assert chain in place.run("plan", "--live", "--output", "markdown").stdout


def test_plan_shows_a_changed_follow_up(place: Place) -> None:
    place.declare("extract", "true", NOW)
    place.declare("load", "true")
    runner = place.start()
    place.await_finished("extract")
    place.stop(runner)
    place.declare("extract", "true", NOW, top={"on_success": {"request": "load"}})
    assert "on_success" in place.run("plan", "--live").stdout


def _requests_in(table: str) -> list[str]:
    """Return the column REQUEST of the monitor's table."""
    head, *lines = table.splitlines()
    begin, end = head.index("REQUEST"), head.index("CHANNEL")
    return [line[begin:end].rstrip() for line in lines]
