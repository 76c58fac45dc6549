"""The pages of a jobs folder with a log: what they show to whom, and what they survive."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from support.busy_night import Night
from support.history_world import finished_line
from support.place import Place
from support.web_world import WebWorld

from runner.history.building.builder import Builder
from runner.history.building.retention import Limits
from runner.history.reading.query import Query
from runner.history.tables import index_path
from runner.monitor.records import decode
from runner.web.identity.roles import Role, Scope

FINANCE = Scope(labels=frozenset({"team=finance"}))
PAGES = ("/", "/?lanes=all", "/requests", "/executions", "/changes")
ODD_VALUES: tuple[object, ...] = (
    None,
    "",
    "x",
    "2026-13-45",
    "2026-11-30T00:00:00",
    "0001-01-01T00:00:00+23:00",
    7,
    -1,
    1e300,
    True,
    [],
    {},
    "∅",
)


def built(place: Place) -> None:
    """Bring the index up to date with the log."""
    builder = Builder(index_path(place.state), place.log, Limits())
    while builder.step():
        pass
    builder.close()


@pytest.fixture
def world(place: Place) -> Iterator[WebWorld]:
    world = WebWorld(place)
    night = Night(count=8, is_bad=True)
    night.write_requests(place.jobs)
    night.write_log(place.log)
    place.write("broken.yaml", "process: {shell: 'true'}\ntiming: {schedule: daily}\n")
    built(place)
    yield world
    world.site.history.close()


def text_of(browser: TestClient, path: str) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, (path, answer.text[:500])
    return answer.text


def test_each_page_shows_its_requests_and_executions(world: WebWorld) -> None:
    browser = world.browser("ana", Role.ADMIN)
    assert "nightly-posting" in text_of(browser, "/")
    looked = text_of(browser, "/")
    assert "Nothing fires" in looked and "no runner is running" in looked
    listed = text_of(browser, "/requests")
    assert "every 4 hours" in listed and "broken.yaml:2:" in listed and "Fix:" in listed
    one = text_of(browser, "/requests/nightly-posting")
    assert "p50" in one and "nightly-posting.yaml:1" in one and "exit code 3" in one
    assert '<span data-number="1">' in one, "the file as it is written"
    why = text_of(browser, "/requests/nightly-posting?at=2026-11-30 00:01")
    assert "nearest fire before" in why and "nearest fire after" in why
    assert "25:61" in text_of(browser, "/requests/nightly-posting?at=25:61")
    assert "exit code 3" in text_of(browser, "/executions?status=error")


def test_a_long_history_is_read_page_by_page(world: WebWorld) -> None:
    browser = world.browser("ana")
    seen: list[str] = []
    path: str | None = "/executions"
    while path:
        page = text_of(browser, path)
        seen += re.findall(r'<td class="w"><a href="/executions/([0-9a-f-]+)"', page)
        older = re.search(r'href="(/executions\?before=\d+)">Older', page)
        path = older and older[1]
    records = [decode(line) for line in world.place.log.read_bytes().splitlines()]
    assert sorted(seen) == sorted(str(record["execution"]) for record in records if record)


def test_a_token_with_a_scope_sees_its_own_requests_only(world: WebWorld) -> None:
    browser = world.browser("fiona", Role.OPERATOR, FINANCE)
    for path in PAGES:
        page = text_of(browser, path)
        assert "backup-erp" not in page, path
        assert "broken.yaml" not in page, path
    assert "nightly-posting" in text_of(browser, "/requests")
    assert browser.get("/requests/backup-erp").status_code == 404
    assert browser.get("/requests/broken").status_code == 404
    foreign = next(
        record["execution"]
        for record in map(decode, world.place.log.read_bytes().splitlines())
        if record and record["request"] == "backup-erp"
    )
    assert browser.get(f"/executions/{foreign}").status_code == 404


def test_what_two_viewers_may_see_is_never_mixed_up(world: WebWorld) -> None:
    fiona = world.browser("fiona", Role.VIEWER, FINANCE)
    ana = world.browser("ana", Role.VIEWER)
    for _ in range(2):
        assert "backup-erp" in text_of(ana, "/requests")
        assert "backup-erp" not in text_of(fiona, "/requests")
    assert "ana (viewer)" in text_of(ana, "/") and "fiona (viewer)" in text_of(fiona, "/")


def odd_lines() -> Iterator[bytes]:
    """Yield lines of other programs: each field of a record in turn is odd."""
    about: dict[str, object] = {"request": "nightly-posting", "output_tail": "posted odd"}
    usual = json.loads(finished_line(datetime.now(UTC), **about))
    for name in sorted(usual.keys() - {"event", "v"}):
        for number, value in enumerate(ODD_VALUES):
            odd = {**usual, "execution": f"0190-{name}-{number}", name: value}
            yield json.dumps(odd).encode() + b"\n"
    for missing in usual:
        yield (
            json.dumps({**usual, "execution": f"0191-{missing}"} | {missing: None}).encode() + b"\n"
        )
    for event in ("request.unscheduled", "runner.reloaded", "alert.opened", "odd", None, 3):
        yield json.dumps({"v": 1, "event": event, "time": 3, "request": ["x"]}).encode() + b"\n"


def test_odd_lines_of_other_programs_take_no_page_away(world: WebWorld) -> None:
    with world.place.log.open("ab") as log:
        log.writelines(odd_lines())
    built(world.place)
    browser = world.browser("ana", Role.ADMIN)
    for path in (*PAGES, "/requests/nightly-posting", "/executions?request=nightly-posting"):
        assert text_of(browser, path)
    shown = world.site.history.executions(Query(text="posted odd"), limit=10_000).records
    assert len(shown) > 300
    for record in shown:
        path = f"/executions/{quote(str(record['execution']), safe='')}"
        assert browser.get(path).status_code in (200, 307, 404), path
    world.place.log.write_bytes(b"")


def test_a_jobs_folder_without_requests_says_what_to_do_next(place: Place) -> None:
    world = WebWorld(place)
    place.write("later.yaml", "process: {shell: 'true'}\n").unlink()
    browser = world.browser("ana")
    assert "runner init" in text_of(browser, "/")
    assert "Put a YAML file into" in text_of(browser, "/requests")
    assert "Choose a request" in text_of(browser, "/executions")
    assert "being built" in text_of(browser, "/")


def test_each_attempt_leads_to_the_others(world: WebWorld) -> None:
    at = datetime(2026, 11, 30, 2, tzinfo=UTC)
    tries = [
        finished_line(
            at + timedelta(minutes=number),
            execution=f"0190-try-{number}",
            request="nightly-posting",
            process="nightly-posting",
            scheduled_for=at,
            attempt=number,
            status="error" if number < 3 else "success",
            channel="process_scheduler" if number == 1 else "retry",
        )
        for number in (1, 2, 3)
    ]
    with world.place.log.open("ab") as log:
        log.writelines(tries)
    built(world.place)
    browser = world.browser("ana")
    for number in (1, 2, 3):
        page = text_of(browser, f"/executions/0190-try-{number}")
        shown = page[page.index('id="attempts"') : page.index('id="output"')]
        linked = {other for other in (1, 2, 3) if f"/executions/0190-try-{other}" in shown}
        assert linked == {1, 2, 3} - {number}


def test_an_unknown_address_is_a_page_that_leads_back(world: WebWorld) -> None:
    answer = world.browser("ana").get("/requests/nothing")
    assert answer.status_code == 404
    assert 'href="/"' in answer.text


def test_the_script_gets_the_content_without_its_frame(world: WebWorld) -> None:
    part = world.browser("ana").get("/", headers={"x-part": "main"}).text
    assert part.startswith('<main id="main"') and part.rstrip().endswith("</main>")


@pytest.mark.parametrize(
    "path", ["/executions?before=-1", "/requests?page=0", f"/?lanes={'x' * 900}"]
)
def test_an_address_out_of_range_is_refused_in_words(world: WebWorld, path: str) -> None:
    assert world.browser("ana").get(path).status_code == 422


def test_the_log_is_left_alone(world: WebWorld) -> None:
    before = world.place.log.read_bytes()
    text_of(world.browser("ana"), "/")
    assert Path(world.place.log).read_bytes() == before
