"""The cache of validated files: a hit is what a read would find, and any doubt is a miss."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.documents import DOCUMENTS, blocks

from runner.requests.building.stored import request_from_definition
from runner.requests.catalog import (
    cache_file,
    cached_requests,
    file_reader,
    request_file,
)
from runner.requests.catalog import cache_text as text_of_cache
from runner.requests.catalog.cache_file import CacheFile
from runner.requests.catalog.cache_text import cache_text
from runner.requests.catalog.cached_requests import outlines_of
from runner.requests.catalog.catalog_reader import CatalogReader
from runner.requests.catalog.file_reader import loaded
from runner.requests.catalog.request_file import Place, RequestFile
from runner.requests.catalog.validated_files import validated_in
from runner.requests.files.bounded_read import FileBytes, Trouble, read_bounded
from runner.requests.model import ProcessRequest
from runner.requests.schema.shipped import schema_of
from runner.resources import example_files
from runner.timing.zones import use_zone_data, zone_data_in_use

GOOD = "process: {shell: x}\n"
DAILY = "process: {shell: x}\ntiming: {schedule: {frequency: daily, at: '02:00'}}\n"
SCHEMA = schema_of("process-request")["properties"]
TIMINGS = SCHEMA["timing"]["else"]["properties"]
SCHEDULES = TIMINGS["schedule"]["properties"]
ACTIONS = {"command", "shell", "python", "group", "request"}
ORIGIN: list[Any] = ["/srv", 1]
SIGNATURE = (1, 2, 3, 4, 5)
OUTLINE = (
    "name", "file", "timing", "scheduled", "reschedule", "formerly", "owner", "labels",
    "receivers", "retention", "source",
)  # fmt: skip


def examples_in(schema: Mapping[str, Any]) -> list[Any]:
    """Return the examples of a key of the schema."""
    return list(schema.get("examples", ()))


def documents() -> Iterator[str]:
    """Yield a document for each example in the schema, and those that the program ships."""
    for key, schema in SCHEMA.items():
        for example in examples_in(schema):
            yield json.dumps({"process": {"shell": "x"}, key: example})
    for key, schema in SCHEMA["process"]["properties"].items():
        for example in examples_in(schema):
            action = {} if key in ACTIONS else {"shell": "x", "prevent_concurrent": True}
            yield json.dumps({"process": {**action, key: example}, "name": f"of-{key}"})
    for kind, schema in TIMINGS.items():
        for example in examples_in(schema):
            yield json.dumps({"process": {"shell": "x"}, "timing": {kind: example}})
    yield from (path.read_text() for path in example_files())
    for document in DOCUMENTS:
        for block in blocks(document.read_text(), document):
            if block.language == "yaml" and "process:" in block.text:
                yield block.text


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the request files that were opened, in order."""
    names: list[str] = []

    def noted(path: str) -> FileBytes | Trouble:
        names.append(Path(path).name)
        return read_bounded(path)

    monkeypatch.setattr(file_reader, "read_bounded", noted)
    # No file counts as changed a moment ago.
    monkeypatch.setattr(request_file, "_CLOCK_TICK_NS", -(10**12))
    return names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "jobs.d"
    made.mkdir()
    return made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


def read_by(reader: CatalogReader) -> tuple[object, dict[str, RequestFile], list[str]]:
    """Return the catalog, the files behind it, and the definitions of its requests, all built."""
    reader.recall()
    read = reader.read()
    for name, outline in outlines_of(read.requests).items():
        of_whole = {each: getattr(read.requests[name], each) for each in OUTLINE}
        assert {each: getattr(outline, each) for each in OUTLINE} == of_whole
    catalog = replace(read, requests=dict(read.requests))
    files = {path: built(file) for path, file in reader._files.by_path.items()}
    definitions = [
        each.request.source.definition for file in files.values() for each in file.candidates
    ]
    return catalog, files, sorted(definitions)


def cold(folder: Path, *, zone: str = "UTC") -> object:
    return read_by(CatalogReader(folder, default_zone=zone))


def built(file: RequestFile) -> RequestFile:
    """Return a file with all its requests built."""
    whole = (replace(each, supply=each.request) for each in file.candidates)
    return replace(file, candidates=tuple(whole))


def warm(folder: Path, state: Path, *, zone: str = "UTC", builds_late: bool = False) -> object:
    cache = CacheFile(state)
    return read_by(CatalogReader(folder, default_zone=zone, cache=cache, builds_late=builds_late))


def warm_both_ways(folder: Path, state: Path, *, zone: str = "UTC") -> object:
    """Read with the cache, once building all requests at once and once as late as possible."""
    late, at_once = (warm(folder, state, zone=zone, builds_late=late) for late in (True, False))
    assert late == at_once
    return late


def keep(folder: Path, state: Path) -> None:
    """Fill the cache by a cold read."""
    reader = CatalogReader(folder, default_zone="UTC", cache=CacheFile(state))
    reader.read()
    reader.keep()


def test_a_hit_is_what_a_read_finds_for_every_example(
    folder: Path, state: Path, opened: list[str]
) -> None:
    (folder / "holidays.txt").write_text("2026-12-25\n")
    for number, text in enumerate(documents()):
        (folder / f"r-{number}.yaml").write_text(text)
    below = folder / "below"
    below.mkdir()
    (below / "_defaults.yaml").write_text("on_failure: {request: r-0}\nprocess: {nice: 5}\n")
    (below / "two.yaml").write_text(f"name: a\n{DAILY}---\nname: b\n{GOOD}formerly: c\n")
    (below / "group.yaml").write_text("process: {group: {members: [{request: none}]}}\n")
    keep(folder, state)
    expected = cold(folder)
    opened.clear()
    assert warm_both_ways(folder, state) == expected
    rejected = [name for name in names_in(folder) if is_rejected(folder / name)]
    assert sorted(set(opened)) == sorted(rejected)
    assert len(rejected) < 5 < 80 < len(names_in(folder))


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def is_rejected(path: Path) -> bool:
    """Report whether a file has problems of its own."""
    place = Place(relative=path.name, display=path.name, path=str(path), default_zone="UTC")
    return path.suffix == ".yaml" and bool(loaded(path.read_bytes(), place).problems)


def any_of(schemas: Mapping[str, Any], without: frozenset[str]) -> st.SearchStrategy[Any]:
    """Return mappings with some of the keys, each with one of its examples."""
    known = {key: examples_in(schema) for key, schema in schemas.items() if key not in without}
    return st.fixed_dictionaries(
        {}, optional={key: st.sampled_from(each) for key, each in known.items() if each}
    )


requests = st.builds(
    lambda top, process, action, schedule: {
        **top,
        "process": {**process, **action},
        **({"timing": {"schedule": schedule}} if schedule else {}),
    },
    any_of(SCHEMA, frozenset({"process", "timing"})),
    any_of(SCHEMA["process"]["properties"], frozenset(ACTIONS)),
    st.sampled_from(
        [
            {key: example}
            for key in sorted(ACTIONS)
            for example in examples_in(SCHEMA["process"]["properties"][key])
        ]
    ),
    any_of(SCHEDULES, frozenset({"except"})),
)


@given(st.lists(requests, min_size=1, max_size=3))
def test_a_hit_is_what_a_read_finds_for_any_combination_of_examples(data: list[Any]) -> None:
    place = Place(relative="a.yaml", display="x/a.yaml", path="/srv/a.yaml", default_zone="UTC")
    file = RequestFile(
        candidates=loaded("\n---\n".join(map(json.dumps, data)).encode(), place).candidates,
        reads={},
        signature=SIGNATURE,
        digest=b"1",
    )
    text = cache_text({"a.yaml": file}, ORIGIN, zone="UTC")
    found = validated_in(text, ORIGIN).take(place, SIGNATURE)
    assert found == file
    assert found is not None
    assert [each.request.source.definition for each in found.candidates] == [
        each.request.source.definition for each in file.candidates
    ]


def rewritten(folder: Path, name: str, text: str) -> None:
    """Change a file's content in place, with its size and modification time unchanged."""
    path = folder / name
    status = path.stat()
    assert len(text) == status.st_size
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced(folder: Path) -> None:
    """Put another file of the same size and time in the place of one."""
    new = folder / "new"
    shutil.copy2(folder / "a.yaml", new)
    new.write_text((folder / "a.yaml").read_text().replace("one", "two"))
    shutil.copystat(folder / "a.yaml", new)
    new.replace(folder / "a.yaml")


FILES = {
    "a.yaml": "process: {shell: one}\n",
    "dated.yaml": DAILY.replace("'02:00'", "'02:00', except: dates"),
    "local.yaml": "process: {shell: x}\ntiming: {run_later: {start: 2026-12-24 18:00}}\n",
    "below/b.yaml": GOOD,
    "refers.yaml": "process: {request: a}\n",
    "dates": "2026-12-25\n",
    "below/_defaults.yaml": "owner: one\n",
}
CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda folder: rewritten(folder, "a.yaml", "process: {shell: two}\n"),
    "inode": replaced,
    "time": lambda folder: os.utime(folder / "a.yaml", (1, 1)),
    "mode": lambda folder: (folder / "a.yaml").chmod(0o600),
    "truncated": lambda folder: (folder / "a.yaml").write_text("process: {shel"),
    "gone": lambda folder: (folder / "a.yaml").unlink(),
    "renamed": lambda folder: (folder / "a.yaml").rename(folder / "c.yaml"),
    "rival": lambda folder: (folder / "Z.yaml").write_text(f"name: a\n{GOOD}"),
    "defaults": lambda folder: rewritten(folder, "below/_defaults.yaml", "owner: two\n"),
    "defaults that are wrong": lambda folder: rewritten(
        folder, "below/_defaults.yaml", "ownr: one1\n"
    ),
    "no defaults": lambda folder: (folder / "below/_defaults.yaml").unlink(),
    "defaults for more": lambda folder: (folder / "_defaults.yaml").write_text("owner: all\n"),
    "dates": lambda folder: rewritten(folder, "dates", "2026-12-26\n"),
    "dates that are none": lambda folder: rewritten(folder, "dates", "2026-12-4x\n"),
    "no dates": lambda folder: (folder / "dates").unlink(),
}


def filled(folder: Path) -> None:
    (folder / "below").mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_after_any_change_of_an_input_the_cache_shows_what_a_read_finds(
    folder: Path, state: Path, opened: list[str], change: Callable[[Path], object]
) -> None:
    filled(folder)
    keep(folder, state)
    before = cold(folder)
    change(folder)
    assert warm_both_ways(folder, state) == cold(folder) != before


@pytest.mark.parametrize("zone", ["Europe/Madrid", "America/Apia", "Pacific/Apia"])
def test_in_another_zone_the_cache_shows_what_a_read_finds(
    folder: Path, state: Path, opened: list[str], zone: str
) -> None:
    filled(folder)
    keep(folder, state)
    assert warm_both_ways(folder, state, zone=zone) == cold(folder, zone=zone)
    assert warm(folder, state, zone=zone) != cold(folder)


def test_with_other_zone_data_the_cache_shows_what_a_read_finds(
    folder: Path, state: Path, opened: list[str]
) -> None:
    filled(folder)
    in_madrid = "timing: {run_later: {start: 2026-07-01 18:00, timezone: Europe/Madrid}}\n"
    (folder / "madrid.yaml").write_text(GOOD + in_madrid)
    keep(folder, state)
    before = cold(folder)
    data = zone_data_in_use()
    try:
        use_zone_data({"Europe/Madrid": data["UTC"]})
        assert warm_both_ways(folder, state) == cold(folder) != before
    finally:
        use_zone_data(data)
    opened.clear()
    assert warm(folder, state) == before
    assert opened == []


def test_a_request_is_built_when_it_is_needed_whole(
    folder: Path, state: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(folder)
    keep(folder, state)
    made: list[str] = []

    def noted(definition: str, **options: Any) -> ProcessRequest:
        made.append(json.loads(definition)["name"])
        return request_from_definition(definition, **options)

    monkeypatch.setattr(cached_requests, "request_from_definition", noted)
    reader = CatalogReader(folder, default_zone="UTC", cache=CacheFile(state), builds_late=True)
    reader.recall()
    catalog = reader.read()
    mentioning = list(made)  # the cross checks look into them
    assert len(mentioning) < len(catalog.requests)
    name = next(each for each in catalog.requests if each not in mentioning)
    for _ in range(2):
        assert (
            catalog.requests[name]
            == CatalogReader(folder, default_zone="UTC").read().requests[name]
        )
    assert made == [*mentioning, name]


def test_a_cache_that_a_late_reader_writes_again_is_as_good(
    folder: Path, state: Path, opened: list[str]
) -> None:
    filled(folder)
    keep(folder, state)
    (folder / "new.yaml").write_text(DAILY)
    reader = CatalogReader(folder, default_zone="UTC", cache=CacheFile(state), builds_late=True)
    reader.recall()
    reader.read()
    reader.keep()
    opened.clear()
    expected = cold(folder)
    opened.clear()
    assert warm_both_ways(folder, state) == expected
    assert not [name for name in opened if not is_rejected(folder / name)]


def changed_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_of_cache, "schema_text", lambda name: "{}")
    text_of_cache._judges_digest.cache_clear()


def patched_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files of the program look as if they were replaced under the same version."""
    monkeypatch.setattr(text_of_cache, "signature_at", lambda path: (1, 2, 3, 4, 5))
    text_of_cache._judges_digest.cache_clear()


ORIGINS: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "version": lambda patch: patch.setattr(text_of_cache, "__version__", "0.0.0"),
    "python": lambda patch: patch.setattr(sys, "version", "4.0"),
    "group": lambda patch: patch.setattr(os, "getgroups", lambda: [12345]),
    "main group": lambda patch: patch.setattr(os, "getegid", lambda: 12345),
    "schema": changed_schema,
    "patched code": patched_code,
}


@pytest.mark.parametrize("change", ORIGINS.values(), ids=ORIGINS)
def test_another_program_user_or_schema_reads_everything_again(
    folder: Path,
    state: Path,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch], object],
) -> None:
    filled(folder)
    keep(folder, state)
    expected = cold(folder)
    opened.clear()
    assert warm(folder, state) == expected
    assert opened == []
    change(monkeypatch)
    assert warm(folder, state) == expected
    assert len(opened) == 5
    monkeypatch.undo()
    text_of_cache._judges_digest.cache_clear()


def test_a_copied_or_renamed_folder_is_read_again(
    folder: Path, state: Path, opened: list[str]
) -> None:
    filled(folder)
    keep(folder, state)
    opened.clear()
    moved = folder.rename(folder.with_name("moved.d"))
    assert warm(moved, state) == cold(moved)
    assert len(opened) == 10


def test_a_file_that_changed_just_now_is_not_kept(
    folder: Path, state: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(folder)
    monkeypatch.setattr(request_file, "_CLOCK_TICK_NS", 10**18)
    keep(folder, state)
    opened.clear()
    warm(folder, state)
    assert len(opened) == 5


def test_dates_that_changed_just_now_are_not_kept(
    folder: Path, state: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(folder)
    others_ns = max((folder / name).stat().st_ctime_ns for name in FILES)
    while (changed_ns := (folder / "dates").stat().st_ctime_ns) <= others_ns + 2:
        (folder / "dates").write_text(FILES["dates"])
    monkeypatch.setattr(request_file, "_CLOCK_TICK_NS", 2)
    monkeypatch.setattr("time.time_ns", lambda: changed_ns + 1)
    keep(folder, state)
    opened.clear()
    warm(folder, state)
    assert opened == ["dated.yaml"]


@given(st.data())
def test_a_damaged_cache_is_no_cache(data: st.DataObject) -> None:
    place = Place(relative="a.yaml", display="a.yaml", path="/srv/a.yaml", default_zone="UTC")
    file = RequestFile(
        candidates=loaded(DAILY.encode(), place).candidates, reads={}, signature=SIGNATURE
    )
    text = cache_text({"a.yaml": file}, ORIGIN, zone="UTC")
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = data.draw(
        st.sampled_from(
            [text[:at], text[at + 1 :], text[:at] + b"\0" + text[at + 1 :], text + text[at:]]
        )
    )
    assert validated_in(text, ORIGIN).take(place, SIGNATURE) == file
    assert validated_in(damaged, ORIGIN).take(place, SIGNATURE) is None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777], ids=oct)
def test_in_a_folder_that_others_may_write_there_is_no_cache(
    folder: Path, state: Path, opened: list[str], mode: int
) -> None:
    filled(folder)
    keep(folder, state)
    opened.clear()
    state.chmod(mode)
    if mode == 0o770:
        os.chown(state, -1, os.getegid() or 12345)
    warm(folder, state)
    assert len(opened) == 5
    (state / cache_file.NAME).unlink()
    keep(folder, state)
    assert names_in(state) == []


@pytest.mark.parametrize("mode", [0o666, 0o602], ids=oct)
def test_a_cache_that_others_may_write_is_passed_over(
    folder: Path, state: Path, opened: list[str], mode: int
) -> None:
    filled(folder)
    keep(folder, state)
    opened.clear()
    (state / cache_file.NAME).chmod(mode)
    warm(folder, state)
    assert len(opened) == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", ["", cache_file.NAME])
def test_a_cache_of_another_user_is_passed_over(
    folder: Path, state: Path, opened: list[str], name: str
) -> None:
    filled(folder)
    keep(folder, state)
    opened.clear()
    os.chown(state / name, 12345, -1)
    warm(folder, state)
    assert len(opened) == 5


def test_a_cache_has_a_largest_size(
    folder: Path, state: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(folder)
    keep(folder, state)
    kept = (state / cache_file.NAME).read_bytes()
    monkeypatch.setattr(cache_file, "_LARGEST", len(kept) - 1)
    opened.clear()
    warm(folder, state)
    assert len(opened) == 5, "a larger one is not read"
    (state / cache_file.NAME).unlink()
    keep(folder, state)
    assert names_in(state) == [], "and not written"


def test_only_the_user_may_read_a_new_cache(folder: Path, state: Path, opened: list[str]) -> None:
    filled(folder)
    keep(folder, state)
    assert [(state / name).stat().st_mode & 0o777 for name in names_in(state)] == [0o600]
