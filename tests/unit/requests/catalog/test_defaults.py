"""Shared settings of a folder: who inherits them, which wins, their errors, and when
they are read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from runner.lifecycle import Misfire, OnOverlap
from runner.planning.last_good import in_force
from runner.requests.building.relocation import relocated
from runner.requests.building.stored import definition_text, request_from_definition
from runner.requests.catalog.cache_file import CacheFile
from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.catalog_reader import CatalogReader, exhausted
from runner.requests.catalog.defaults import MERGED, OF_TIMINGS, Defaults, filled, together
from runner.requests.model import Group, Limits, ProcessRequest, RunAs, RunLater, Schedule
from runner.resources import schema_text

GOOD = "process: {shell: x}\n"
DAILY = "process: {shell: x}\ntiming: {schedule: {frequency: daily, at: '02:00'}}\n"
Files = Mapping[str, str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "jobs.d"
    made.mkdir()
    return made


def write(folder: Path, files: Files) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def reader_of(folder: Path, cache: CacheFile | None = None) -> CatalogReader:
    return CatalogReader(folder, default_zone="UTC", cache=cache)


def read(folder: Path, files: Files) -> Catalog:
    write(folder, files)
    return reader_of(folder).read()


def good(folder: Path, files: Files) -> Mapping[str, ProcessRequest]:
    catalog = read(folder, files)
    assert not catalog.problems
    return catalog.requests


def reported(catalog: Catalog) -> list[str]:
    return [str(problem).replace(f"{catalog.folder}/", "") for problem in catalog.problems]


def incumbents(catalog: Catalog) -> dict[str, str]:
    return {name: request.source.file for name, request in catalog.requests.items()}


# --- who has them, and what wins
# --------------------------------------------------------------------------------


def test_the_nearest_value_of_each_key_wins_and_the_documents_own_above_all(folder: Path) -> None:
    requests = good(
        folder,
        {
            "_defaults.yaml": "owner: far\nlabels: {a: far, b: far}\nprocess: {timeout: 1h, nice: "
            "5}",
            "near/_defaults.yml": "owner: near\nlabels: {b: near}\nprocess: {timeout: 2h}",
            "near/below/one.yaml": "labels: {c: own}\nprocess: {shell: x}",
            "near/two.yaml": "owner: own\nlabels: {a: own}\nprocess: {shell: x, timeout: 3h}",
            "far.yaml": GOOD,
        },
    )
    found = {
        name: (each.owner, each.labels, each.process.timeout) for name, each in requests.items()
    }
    assert found == {
        "one": ("near", {"a": "far", "b": "near", "c": "own"}, timedelta(hours=2)),
        "two": ("own", {"a": "own", "b": "near"}, timedelta(hours=3)),
        "far": ("far", {"a": "far", "b": "far"}, timedelta(hours=1)),
    }
    assert {each.process.nice for each in requests.values()} == {5}


def test_limits_are_merged_and_a_retry_or_a_list_is_replaced(folder: Path) -> None:
    defaults = (
        "process: {limits: {memory: 1GiB, open_files: 9}, retry: {attempts: 3, delay: 5s}, "
        "secrets: [A]}"
    )
    own = "process: {shell: x, limits: {open_files: 5}, retry: {attempts: 2}, secrets: [B]}"
    process = good(folder, {"_defaults.yaml": defaults, "a.yaml": own})["a"].process
    assert process.limits == Limits(memory=1 << 30, open_files=5)
    assert process.retry is not None
    assert (process.retry.attempts, process.retry.delay) == (2, timedelta(seconds=1))
    assert process.secrets == ("B",)


def test_paths_are_relative_to_the_file_that_contains_them(folder: Path) -> None:
    requests = good(
        folder,
        {
            "_defaults.yaml": "process: {directory: ./work, environment_file: [a.env, /b.env]}\n"
            "timing: {except: holidays.txt}",
            "holidays.txt": "2026-12-25\n",
            "below/a.yaml": DAILY,
            "below/b.yaml": "process: {shell: x, directory: ., environment_file: own.env}",
        },
    )
    inherits, says = requests["a"].process, requests["b"].process
    assert inherits.directory == f"{folder}/work"
    assert inherits.environment_files == (f"{folder}/a.env", "/b.env")
    assert (says.directory, says.environment_files) == (
        f"{folder}/below",
        (f"{folder}/below/own.env",),
    )
    assert isinstance(timing := requests["a"].timing, Schedule)
    assert timing.rule.excepted.days == {date(2026, 12, 25)}


def test_a_timing_inherits_only_the_keys_of_its_kind(folder: Path) -> None:
    requests = good(
        folder,
        {
            "_defaults.yaml": "timing: {timezone: Europe/Madrid, misfire: skip, spread: 5m, "
            "except: "
            "[2026-12-25]}",
            "later.yaml": "process: {shell: x}\ntiming: {run_later: {start: 2026-12-24 18:00}}",
            "daily.yaml": DAILY,
            "own.yaml": DAILY.replace("at:", "timezone: UTC, misfire: fire_all, except: [], at:"),
            "now.yaml": "process: {shell: x}\ntiming: run_immediately",
            "none.yaml": GOOD,
        },
    )
    later, daily, own = (requests[name].timing for name in ("later", "daily", "own"))
    assert isinstance(later, RunLater)
    assert isinstance(daily, Schedule)
    assert isinstance(own, Schedule)
    assert (later.start, later.misfire) == (datetime(2026, 12, 24, 17, tzinfo=UTC), Misfire.SKIP)
    assert (daily.rule.zone, daily.spread, daily.rule.excepted.days) == (
        "Europe/Madrid",
        timedelta(minutes=5),
        frozenset({date(2026, 12, 25)}),
    )
    assert (own.rule.zone, own.misfire, own.rule.excepted.days) == (
        "UTC",
        Misfire.FIRE_ALL,
        frozenset(),
    )
    assert requests["none"].timing is None


def test_defaults_that_cannot_apply_to_a_request_are_left_out(folder: Path) -> None:
    requests = good(
        folder,
        {
            "_defaults.yaml": "on_failure: {request: tell}\n"
            "process: {on_overlap: queue, run_as: {user: erp}, timeout: 1h, stdin: y}",
            "tell.yaml": GOOD,
            "guarded.yaml": "process: {shell: x, prevent_concurrent: true}",
            "same.yaml": "process: {request: tell}",
            "group.yaml": "process:\n  group:\n    members:\n    - {request: tell}\n    - {name: "
            "a, "
            "shell: x}\n"
            "    - {name: b, shell: x, run_as: {user: own}}\n",
        },
    )
    assert requests["tell"].on_failure is None
    assert requests["guarded"].on_failure == "tell"
    assert requests["tell"].process.on_overlap is OnOverlap.REFUSE
    assert requests["guarded"].process.on_overlap is OnOverlap.QUEUE
    assert requests["same"].process.timeout is None
    group = requests["group"].process
    assert (group.timeout, group.run_as) == (timedelta(hours=1), None)
    assert isinstance(group.action, Group)
    assert [each.run_as for each in group.action.members] == [
        None,
        RunAs(user="erp"),
        RunAs(user="own"),
    ]


def test_a_request_in_an_unscheduled_folder_can_be_scheduled(
    folder: Path,
) -> None:
    files = {
        "_defaults.yaml": "scheduled: false",
        "a.yaml": DAILY,
        "b.yaml": f"scheduled: true\n{DAILY}",
    }
    assert {name: each.scheduled for name, each in good(folder, files).items()} == {
        "a": False,
        "b": True,
    }


def test_a_definition_in_the_store_needs_no_defaults_and_can_be_moved(
    folder: Path, tmp_path: Path
) -> None:
    files = {
        "_defaults.yaml": "owner: me\nprocess: {directory: work, environment_file: a.env}",
        "below/a.yaml": GOOD,
    }
    request = good(folder, files)["a"]
    assert request_from_definition(definition_text(request), default_zone="UTC") == request
    write(other := tmp_path / "other", files)
    assert (
        relocated(request, str(folder), str(other), default_zone="UTC")
        == reader_of(other).read().requests["a"]
    )


WORD = st.sampled_from(["a", "b", "c"])
MAPPING = st.dictionaries(WORD, WORD, max_size=3)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "owner": WORD,
        "labels": MAPPING,
        "process": st.fixed_dictionaries(
            {},
            optional={
                "environment": MAPPING,
                "timeout": WORD,
                "secrets": st.lists(WORD, max_size=2),
            },
        ),
    },
)


@given(st.lists(SETTINGS, max_size=4), SETTINGS)
def test_merged_defaults_equal_filling_in_from_the_nearest_outwards(
    files: list[dict[str, Any]], own: dict[str, Any]
) -> None:
    whole = Defaults()
    for data in files:  # the farthest first
        whole = together(whole, Defaults(data=data), b"")
    document = {**own, "process": {**own.get("process", {}), "shell": "x"}}
    one_by_one: Any = document
    for data in reversed(files):
        one_by_one = filled(one_by_one, Defaults(data=data), "name")
    assert filled(document, whole, "name") == one_by_one


# --- what is wrong with them
# --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "owner: a\nname: b",
            "2:1: `name` belongs to one request and cannot have a default (leave it out)",
        ),
        ("- owner: a", "1:1: the defaults should be a mapping, not a list"),
        ("owmer: a", "1:1: `owmer` is not a key of the defaults (did you mean `owner`?)"),
        ("process: {command: [a]}", "1:11: `command` is not a key of `process`"),
        (
            "process:\n  timeuot: 1h",
            "2:3: `timeuot` is not a key of `process` (did you mean `timeout`?)",
        ),
        ("timing: {at: '02:00'}", "1:10: `at` is not a key of `timing`"),
        ("timing:\n  timezone: Mars", "2:13: there is no time zone 'Mars'"),
        ("process: {stop_signal: FOO}", "1:24: there is no signal"),
        ("timing: {except: none.txt}", '1:18: the file of dates "none.txt" cannot be used'),
        ("timing: {except: [2026-02-30]}", "1:19: there is no 2026-02-30 in the calendar"),
        ("owner: a\n---\nowner: b", "1:1: defaults are one document"),
        ("", "1:1: the file is empty"),
        ("owner: [", "1:9: "),
    ],
)
def test_an_error_is_reported_once_in_the_defaults_file(
    folder: Path, text: str, message: str
) -> None:
    catalog = read(folder, {"_defaults.yaml": text, "a.yaml": GOOD, "b.yaml": GOOD})
    assert [line for line in reported(catalog) if line.startswith(f"_defaults.yaml:{message}")], (
        reported(catalog)
    )
    assert len(catalog.problems) == 1
    assert [(each.file, each.whole) for each in catalog.rejections] == [
        ("_defaults.yaml", True),
        ("a.yaml", True),
        ("b.yaml", True),
    ]


def test_all_errors_are_reported_in_one_pass(folder: Path) -> None:
    text = "owmer: a\nprocess: {timeout: 5, stop_signal: FOO}\ntiming: {timezone: Mars}"
    assert [line[:19] for line in reported(read(folder, {"_defaults.yaml": text}))] == [
        "_defaults.yaml:1:1:",
        "_defaults.yaml:2:20",
        "_defaults.yaml:3:20",
    ]


def test_an_unknown_request_in_on_failure_is_reported_once_where_it_is_named(folder: Path) -> None:
    catalog = read(
        folder,
        {
            "_defaults.yaml": "owner: a\non_failure: {request: tel}",
            "a.yaml": GOOD,
            "tell.yaml": GOOD,
        },
    )
    assert reported(catalog) == [
        "_defaults.yaml:2:23: no request is named `tel` (did you mean `tell`?)"
    ]


def test_only_requests_below_wrong_defaults_keep_their_last_good_version(
    folder: Path,
) -> None:
    reader = reader_of(folder)
    write(folder, {"below/_defaults.yaml": "owner: a", "below/a.yaml": GOOD, "b.yaml": GOOD})
    first = reader.read()
    write(
        folder,
        {
            "below/_defaults.yaml": "owner: [",
            "below/a.yaml": "process: {shell: y}",
            "b.yaml": f"owner: c\n{GOOD}",
        },
    )
    second = reader.read(incumbents(first))
    force = in_force(second, first.requests)
    assert force.requests["a"] is first.requests["a"]
    assert set(force.kept) == {"a"}
    assert force.requests["b"].owner == "c"
    write(folder, {"below/_defaults.yaml": "owner: d"})
    third = reader.read(incumbents(first))
    assert not third.rejections
    assert (third.requests["a"].owner, third.requests["a"].process.action) != (
        None,
        first.requests["a"].process.action,
    )


def test_two_defaults_files_in_one_folder_are_refused(folder: Path) -> None:
    files = {"_defaults.yaml": "owner: a", "_defaults.yml": "owner: b", "a.yaml": GOOD}
    assert reported(read(folder, files)) == [
        "_defaults.yml:1:1: `_defaults.yaml` is in the same folder (keep one of them)"
    ]


def test_a_folder_or_a_broken_link_instead_of_the_file_is_reported(folder: Path) -> None:
    (folder / "_defaults.yaml").mkdir()
    (folder / "below").mkdir()
    (folder / "below" / "_defaults.yaml").symlink_to("nowhere")
    lines = reported(read(folder, {"a.yaml": GOOD, "below/b.yaml": GOOD}))
    assert [line.split(": ", 2)[1] for line in lines] == [
        "it is a folder, not a file",
        "it is a broken link",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="the rule trusts only folders that belong to root")
def test_a_world_writable_file_is_refused_when_guarded(folder: Path) -> None:
    write(folder, {"_defaults.yaml": "owner: a", "a.yaml": GOOD})
    (folder / "_defaults.yaml").chmod(0o666)
    catalog = CatalogReader(folder, default_zone="UTC", is_guarded=True).read()
    assert [line.split(" (")[0] for line in reported(catalog)] == [
        "_defaults.yaml:1:1: root does not read it: everyone may write _defaults.yaml"
    ]
    assert not catalog.requests


def test_an_error_of_defaults_and_document_together_is_reported_in_the_document(
    folder: Path,
) -> None:
    files = {
        "_defaults.yaml": "process: {secrets: [A]}",
        "a.yaml": "process: {shell: x, environment: {A: b}}",
    }
    assert [line[:7] for line in reported(read(folder, files))] == ["a.yaml:"]


# --- when what is read
# --------------------------------------------------------------------------------


def test_an_edit_rereads_only_the_files_it_applies_to(folder: Path) -> None:
    write(folder, {"below/_defaults.yaml": "owner: a", "below/a.yaml": GOOD, "b.yaml": GOOD})
    reader = reader_of(folder)
    first = reader.read()
    assert not exhausted(reader.look())
    write(folder, {"below/_defaults.yaml": "owner: b2"})
    assert exhausted(reader.look())
    second = reader.read(incumbents(first))
    assert second.requests["a"].owner == "b2"
    assert second.requests["b"] is first.requests["b"]
    (folder / "below" / "_defaults.yaml").unlink()
    assert exhausted(reader.look())
    assert reader.read().requests["a"].owner is None
    write(folder, {"_defaults.yaml": "owner: c"})
    assert exhausted(reader.look())
    assert {each.owner for each in reader.read().requests.values()} == {"c"}
    assert not exhausted(reader.look())


def test_an_edit_of_the_dates_that_the_defaults_name_is_seen(folder: Path) -> None:
    write(
        folder,
        {"_defaults.yaml": "timing: {except: days.txt}", "days.txt": "2026-12-25", "a.yaml": DAILY},
    )
    reader = reader_of(folder)
    reader.read()
    assert reader.read_besides == {f"{folder}/days.txt"}
    write(folder, {"days.txt": "2026-12-25\n2027-01-01\n"})
    assert exhausted(reader.look())
    assert isinstance(timing := reader.read().requests["a"].timing, Schedule)
    assert len(timing.rule.excepted) == 2


@pytest.mark.parametrize("now", ["owner: a", "owner: b", None])
def test_notes_of_an_earlier_start_count_only_with_the_same_defaults(
    folder: Path, monkeypatch: pytest.MonkeyPatch, now: str | None
) -> None:
    monkeypatch.setattr(
        "runner.requests.catalog.request_file._CLOCK_TICK_NS", -(10**12)
    )  # no file counts as changed just now
    text = "on_failure: {request: tell}\nowner: a"
    write(folder, {"_defaults.yaml": text, "a.yaml": GOOD, "tell.yaml": GOOD})
    cache = CacheFile(folder)
    former = reader_of(folder, cache)
    first = former.read()
    former.keep()
    if now is None:
        (folder / "_defaults.yaml").unlink()
    else:
        write(folder, {"_defaults.yaml": text.replace("owner: a", now)})
    reader = reader_of(folder, cache)
    reader.recall()
    reader.reuse(first.requests)
    catalog = reader.read(incumbents(first))
    fresh = reader_of(folder).read()
    assert catalog.requests == fresh.requests
    assert (catalog.requests["a"] is first.requests["a"]) is (now == "owner: a")
    (folder / "tell.yaml").unlink()
    assert reader.read().problems == reader_of(folder).read().problems


# --- the schema
# --------------------------------------------------------------------------------


def test_each_key_has_the_subschema_of_the_request_schema() -> None:
    defaults, request = (
        json.loads(schema_text("defaults")),
        json.loads(schema_text("process-request")),
    )
    Draft7Validator.check_schema(defaults)
    own, theirs = defaults["properties"], request["properties"]
    one_s_own = {"name", "description", "formerly", "reschedule", "on_success", "ping"}
    assert own.keys() == theirs.keys() - one_s_own
    for key in own.keys() - {"process", "timing"}:
        assert own[key] == theirs[key], key
    process = theirs["process"]["properties"]
    actions = {"command", "shell", "python", "group", "request"}
    assert own["process"]["properties"] == {
        key: process[key] for key in process.keys() - actions - {"name", "scheduled"}
    }
    timings = theirs["timing"]["else"]["properties"]
    timing = own["timing"]["properties"]
    assert timing.keys() == set(OF_TIMINGS["schedule"])
    for kind, keys in OF_TIMINGS.items():
        for key in keys:
            expected = timings[kind]["properties"][key]
            assert {**expected, "default": None, "examples": None} == {
                **timing[key],
                "default": None,
                "examples": None,
            }
    mappings = {**process, **theirs}
    assert all("object" in mappings[key]["type"] for key in MERGED)
