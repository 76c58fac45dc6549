"""A folder as a value: what is found, what is rejected and which requests that affects."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from support.effort import effort_of

from runner.requests.catalog import defaults_files, file_reader, request_file
from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.catalog_reader import CatalogReader, exhausted
from runner.requests.files.bounded_read import FileBytes, Trouble, read_bounded, signature_at
from runner.requests.model import ProcessRequest, Schedule, Shell

GOOD = "process: {shell: x}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "jobs.d"
    made.mkdir()
    return made


def write(path: Path, text: str = GOOD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def reader(folder: Path) -> CatalogReader:
    return CatalogReader(folder, default_zone="UTC")


def read(folder: Path, incumbents: Mapping[str, str] | None = None) -> Catalog:
    return reader(folder).read(incumbents)


def line(catalog: Catalog, name: str) -> str:
    action = catalog.requests[name].process.action
    assert isinstance(action, Shell)
    return action.line


def reported(catalog: Catalog) -> list[str]:
    return [str(problem).replace(f"{catalog.folder}/", "") for problem in catalog.problems]


def rejected(catalog: Catalog) -> dict[str, tuple[set[str], bool]]:
    return {each.file: (set(each.names), each.whole) for each in catalog.rejections}


def test_both_endings_are_read_in_all_folders_below(folder: Path) -> None:
    for name in [
        "a.yaml",
        "b.yml",
        "deep/er/c.yaml",
        "d.json",
        "e.yaml~",
        "post.py",
        "#f.yaml",
        "~g.yaml",
        ".h.yaml",
        "_i.yaml",
    ]:
        write(folder / name)
    for name in [".git/j.yaml", "_old/k.yaml"]:
        write(folder / name)
    catalog = read(folder)
    assert list(catalog.requests) == ["a", "b", "c"]
    assert (catalog.files, catalog.missing, catalog.rejections) == (3, False, ())
    assert catalog.requests["c"].source.file == "deep/er/c.yaml"
    assert catalog.requests["c"].process.directory == str(folder / "deep/er")


def test_a_missing_folder_and_a_file_in_its_place(tmp_path: Path) -> None:
    assert read(tmp_path / "nowhere").missing
    assert read(write(tmp_path / "file")).missing
    assert not read(tmp_path).missing


def test_links_are_followed(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/a.yaml")
    write(tmp_path / "other.yaml")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "b.yaml").symlink_to(tmp_path / "other.yaml")
    catalog = read(folder)
    assert {name: request.source.file for name, request in catalog.requests.items()} == {
        "a": "linked/a.yaml",
        "b": "b.yaml",
    }


def test_problems_show_the_folder_as_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "sub/a.yaml", "x: 1")
    monkeypatch.chdir(folder.parent)
    catalog = read(Path("jobs.d"))
    assert {problem.file for problem in catalog.problems} == {"jobs.d/sub/a.yaml"}
    assert rejected(catalog) == {"sub/a.yaml": ({"a"}, False)}


def test_problems_are_sorted_by_file_line_and_column(folder: Path) -> None:
    write(folder / "b.yaml", "x: 1\nprocess: {shel: x, shell: y, y: 1}")
    write(folder / "a.yaml", "}")
    places = [
        (Path(problem.file).name, problem.line, problem.column) for problem in read(folder).problems
    ]
    assert places == [("a.yaml", 1, 1), ("b.yaml", 1, 1), ("b.yaml", 2, 11), ("b.yaml", 2, 30)]


def test_a_bad_document_affects_only_itself(folder: Path) -> None:
    write(
        folder / "a.yaml",
        f"name: one\n{GOOD}---\nname: two\nprocess: {{shel: x}}\n---\nname: three\n{GOOD}",
    )
    write(folder / "b.yaml", "process: [")
    write(folder / "c.yaml")
    catalog = read(folder)
    assert list(catalog.requests) == ["c", "one", "three"]
    assert rejected(catalog) == {"a.yaml": ({"two"}, False), "b.yaml": (set(), True)}


def test_a_problem_is_attributed_to_the_name_of_its_document_only(folder: Path) -> None:
    write(
        folder / "a.yaml",
        f"name: p\n{GOOD}bogus: 1\n---\nname: q\nprocess: {{shell: x, nice: 99}}\n",
    )
    (rejection,) = read(folder).rejections
    assert {name: [each.line for each in rejection.problems_of(name)] for name in "pqr"} == {
        "p": [3],
        "q": [6],
        "r": [3, 6],
    }


def test_a_document_without_a_readable_name_affects_its_whole_file(folder: Path) -> None:
    write(folder / "a.yaml", f"name: one\n{GOOD}---\n{GOOD}")
    assert rejected(read(folder)) == {"a.yaml": (set(), True)}


def test_a_file_of_comments_holds_nothing_and_is_valid(folder: Path) -> None:
    write(folder / "b.yaml", "# process: {shell: x}\n")
    assert (read(folder).requests, read(folder).problems, read(folder).files) == ({}, (), 1)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file_is_rejected_whole_because_it_may_be_half_written(
    folder: Path, text: str
) -> None:
    write(folder / "a.yaml", text)
    (rejection,) = read(folder).rejections
    assert rejection.whole
    assert rejection.problems[0].message == "the file is empty"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_and_an_unreadable_folder_are_rejected(folder: Path) -> None:
    write(folder / "a.yaml").chmod(0)
    write(folder / "sub/b.yaml")
    (folder / "sub").chmod(0)
    try:
        catalog = read(folder, {"b": "sub/b.yaml"})
    finally:
        (folder / "sub").chmod(0o700)
    assert "permission denied" in reported(catalog)[0]
    assert rejected(catalog) == {
        "a.yaml": (set(), True),
        "sub": (set(), True),
        "sub/b.yaml": (set(), True),
    }


def test_an_unreadable_folder_affects_every_request_that_it_supplied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "sub/b.yaml")
    write(folder / "c.yaml")
    scandir = os.scandir

    def failing(path: str) -> object:
        if path.endswith("/sub"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("runner.requests.catalog.folder.listing.os.scandir", failing)
    catalog = read(folder, {"b": "sub/b.yaml", "c": "c.yaml"})
    assert rejected(catalog) == {"sub": (set(), True), "sub/b.yaml": (set(), True)}
    assert reported(catalog) == ["sub:1:1: the folder cannot be read: permission denied"]


def test_a_disk_error_is_retried_although_the_file_is_unchanged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.yaml")
    files = reader(folder)
    with monkeypatch.context() as broken:
        broken.setattr(
            file_reader,
            "read_bounded",
            lambda path: Trouble(reason="it cannot be read: i/o error", may_pass=True),
        )
        assert rejected(files.read()) == {"a.yaml": (set(), True)}
    assert exhausted(files.look())
    assert list(files.read().requests) == ["a"]


# Names and references


def test_of_two_documents_with_one_name_the_first_by_path_then_line_wins(folder: Path) -> None:
    write(folder / "b.yaml", "name: x\nprocess: {shell: from b}\n")
    write(
        folder / "a.yaml",
        "# first\nname: x\nprocess: {shell: first in a}\n---\nname: x\nprocess: {shell: "
        "second in a}\n",
    )
    catalog = read(folder)
    assert line(catalog, "x") == "first in a"
    assert reported(catalog) == [
        "a.yaml:5:7: the name `x` is taken by a.yaml:2 (give one of them another `name`)",
        "b.yaml:1:7: the name `x` is taken by a.yaml:2 (give one of them another `name`)",
    ]
    assert rejected(catalog) == {"a.yaml": ({"x"}, False), "b.yaml": ({"x"}, False)}


def test_an_incumbent_keeps_its_name_and_the_newcomer_is_rejected(folder: Path) -> None:
    write(folder / "a.yaml", "name: x\nprocess: {shell: newcomer}\n")
    write(folder / "b.yaml", "name: x\nprocess: {shell: incumbent}\n")
    catalog = read(folder, {"x": "b.yaml"})
    assert line(catalog, "x") == "incumbent"
    assert rejected(catalog) == {"a.yaml": ({"x"}, False)}


def test_the_name_of_an_incumbent_whose_file_is_gone_is_free(folder: Path) -> None:
    write(folder / "a.yaml", "name: x\nprocess: {shell: newcomer}\n")
    assert line(read(folder, {"x": "gone.yaml"}), "x") == "newcomer"


def test_an_incumbent_whose_file_is_broken_keeps_its_name(folder: Path) -> None:
    write(folder / "a.yaml", "name: x\nprocess: {shell: newcomer}\n")
    for broken in ["process: [", "name: x\nprocess: {shel: y}"]:
        write(folder / "b.yaml", broken)
        catalog = read(folder, {"x": "b.yaml"})
        assert catalog.requests == {}
        assert "taken by b.yaml, whose last good version stays in force" in reported(catalog)[0]


def test_an_unknown_reference_is_reported_with_the_nearest_name(folder: Path) -> None:
    write(folder / "nightly.yaml")
    write(folder / "again.yaml", "process: {request: nigthly}")
    assert reported(read(folder)) == [
        "again.yaml:1:20: no request is named `nigthly` (did you mean `nightly`?)"
    ]


def test_a_reference_to_the_name_of_a_rejected_document_is_valid(folder: Path) -> None:
    write(folder / "bad.yaml", "process: {shel: x}")
    write(folder / "worse.yaml", "process: [")
    write(folder / "a.yaml", "process: {request: bad}")
    write(folder / "b.yaml", "process: {request: worse}")
    assert list(read(folder, {"worse": "worse.yaml"}).requests) == ["a", "b"]
    assert list(read(folder).requests) == ["a"]


def test_references_in_a_cycle_are_rejected_and_those_that_lead_into_it_are_not(
    folder: Path,
) -> None:
    for name, target in {
        "a": "b",
        "b": "c",
        "c": "a",
        "self": "self",
        "leads": "a",
        "good": "end",
    }.items():
        write(folder / f"{name}.yaml", f"process: {{request: {target}}}")
    write(folder / "end.yaml")
    catalog = read(folder)
    assert list(catalog.requests) == ["end", "good", "leads"]
    assert "in a cycle: a → b → c → a" in reported(catalog)[0]
    assert "`self` refers to itself" in reported(catalog)[3]


def test_a_large_cycle_has_a_short_message(folder: Path) -> None:
    documents = [
        f"name: r{number}\nprocess: {{request: r{(number + 1) % 100}}}\n" for number in range(100)
    ]
    write(folder / "a.yaml", "---\n".join(documents))
    assert len(reported(read(folder))) == 100
    assert reported(read(folder))[0].endswith(
        "cycle: r0 → … → r0 (one of them must say what it runs)"
    )


def test_a_long_chain_of_references_is_followed_quickly(folder: Path) -> None:
    def effort(length: int) -> int:
        documents = [
            f"name: r{number}\nprocess: {{request: r{number + 1}}}\n" for number in range(length)
        ]
        write(
            folder / "a.yaml",
            "---\n".join([*documents, f"name: r{length}\nprocess: {{shell: x}}\n"]),
        )
        requests: dict[str, ProcessRequest] = {}
        made = effort_of(lambda: requests.update(read(folder).requests))
        assert len(requests) == length + 1
        return made

    effort(1500)  # deeper than Python's recursion limit
    assert effort(600) < 3 * effort(300), (
        "twice as long is about twice the work, and not four times"
    )


# Dates of `except`

EXCEPT = (
    "process: {shell: x}\ntiming: {schedule: {frequency: daily, at: 02:00, except: "
    "../holidays.txt}}\n"
)


def excepted(catalog: Catalog, name: str) -> frozenset[date]:
    timing = catalog.requests[name].timing
    assert isinstance(timing, Schedule)
    return timing.rule.excepted.days


def test_a_changed_file_of_dates_is_a_changed_request(folder: Path) -> None:
    write(folder / "sub/a.yaml", EXCEPT)
    dates = write(folder / "holidays.txt", "# ours\n2026-12-25 # Christmas\n\n  2027-01-01\n")
    files = reader(folder)
    first = files.read()
    assert excepted(first, "a") == {date(2026, 12, 25), date(2027, 1, 1)}
    assert not exhausted(files.look())
    dates.write_text("2026-12-26\n")
    assert exhausted(files.look())
    second = files.read()
    assert excepted(second, "a") == {date(2026, 12, 26)}
    assert first.requests["a"].source == second.requests["a"].source
    assert first.requests["a"] != second.requests["a"]


def test_problems_of_a_file_of_dates_name_its_own_lines(folder: Path) -> None:
    write(folder / "sub/a.yaml", EXCEPT)
    write(folder / "holidays.txt", "2026-12-25\n 2026-02-30\nChristmas\n")
    files = reader(folder)
    catalog = files.read()
    assert reported(catalog) == [
        "holidays.txt:2:2: there is no 2026-02-30 in the calendar",
        'holidays.txt:3:1: "Christmas" is not a date; '
        "write it like 2026-12-25, 2026-12-24..2026-12-26 or *-12-25",
        'sub/a.yaml:2:58: the file of dates "../holidays.txt" has 2 problems',
    ]
    assert rejected(catalog) == {"sub/a.yaml": ({"a"}, False)}
    write(folder / "holidays.txt", "2026-12-25\n")
    assert exhausted(files.look())
    assert list(files.read().requests) == ["a"]


def test_a_file_of_dates_that_appears_later_is_noticed(folder: Path) -> None:
    write(folder / "sub/a.yaml", EXCEPT)
    files = reader(folder)
    assert "no such file or directory" in reported(files.read())[0]
    assert not exhausted(files.look())
    write(folder / "holidays.txt", "2026-12-25\n")
    assert exhausted(files.look())
    assert list(files.read().requests) == ["a"]


def test_a_file_of_dates_that_would_block_or_is_binary_is_a_problem(folder: Path) -> None:
    write(folder / "sub/a.yaml", EXCEPT)
    os.mkfifo(folder / "holidays.txt")
    assert "it is a named pipe, not a file" in reported(read(folder))[0]
    (folder / "holidays.txt").unlink()
    (folder / "holidays.txt").write_bytes(b"2026-12-25\n\xff")
    assert (
        reported(read(folder))[0]
        == "holidays.txt:2:1: the byte 0xff is not UTF-8 (save the file as UTF-8)"
    )


def test_dates_and_files_of_dates_mix_in_a_list(folder: Path) -> None:
    write(folder / "holidays.txt", "2026-12-24..2026-12-26\n*-01-01 # New Year\n")
    listed = "[../holidays.txt, 2026-08-15, '*-05-01', 2026-08-17..2026-08-18]"
    write(folder / "sub/a.yaml", EXCEPT.replace("../holidays.txt", listed))
    write(folder / "b.yaml", EXCEPT.replace("../holidays.txt", "2026-12-25"))
    catalog = read(folder)
    assert excepted(catalog, "a") == {
        *(date(2026, 12, day) for day in (24, 25, 26)),
        *(date(2026, 8, day) for day in (15, 17, 18)),
    }
    timing = catalog.requests["a"].timing
    assert isinstance(timing, Schedule)
    assert timing.rule.excepted.yearly == {(1, 1), (5, 1)}
    assert excepted(catalog, "b") == {date(2026, 12, 25)}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("2026-12-26..2026-12-24", "2026-12-26..2026-12-24 ends before it begins"),
        ("2026-12-24..", '"2026-12-24.." is not a date'),
        ("*-02-30", "there is no 02-30 in any year"),
        ("0001-01-01..9999-12-31", "0001-01-01..9999-12-31 spans more than 100,000 dates"),
    ],
)
@pytest.mark.parametrize("key", ["except", "only"])
def test_a_wrong_date_is_reported_where_it_stands(
    folder: Path, key: str, entry: str, message: str
) -> None:
    write(folder / "a.yaml", EXCEPT.replace("except: ../holidays.txt", f"{key}: ['{entry}']"))
    write(folder / "b.yaml", EXCEPT.replace("except: ../holidays.txt", f"{key}: dates"))
    write(folder / "dates", f"# {key}\n  {entry}  # wrong\n")
    column = f"2:{59 + len(key) - len('except')}"
    in_list, in_file, at_file = reported(read(folder))
    assert in_list.startswith(f"a.yaml:{column}: {message}")
    assert at_file.startswith("dates:2:3: ") and message in at_file
    assert in_file.startswith("b.yaml:2:")


# Repeated scans


def settle(path: Path) -> None:
    """Set a file's times to long ago, as far as they can be set."""
    os.utime(path, (1, 1))


class Reads:
    """Counts the reads of each file."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, before: Callable[[str], object] = lambda name: None
    ) -> None:
        self.names: list[str] = []
        self.before = before
        monkeypatch.setattr(file_reader, "read_bounded", self._read)
        monkeypatch.setattr(
            request_file, "_CLOCK_TICK_NS", -(10**12)
        )  # no file counts as changed just now

    def _read(self, path: str) -> FileBytes | Trouble:
        self.names.append(Path(path).name)
        self.before(Path(path).name)
        return read_bounded(path)

    def taken(self) -> list[str]:
        names, self.names = self.names, []
        return names


def test_unchanged_files_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        write(folder / f"{name}.yaml")
    reads, files = Reads(monkeypatch), reader(folder)
    first = files.read()
    assert reads.taken() == ["a.yaml", "b.yaml", "c.yaml"]
    second = files.read()
    assert reads.taken() == []
    assert all(second.requests[name] is first.requests[name] for name in "abc")
    settle(folder / "b.yaml")
    assert files.read().requests["b"] is first.requests["b"]  # the same bytes
    assert reads.taken() == ["b.yaml"]


def test_a_file_that_changed_just_before_its_read_is_read_once_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        request_file, "_CLOCK_TICK_NS", 10**12
    )  # in the future: counts as just changed on a slow machine too
    path = write(folder / "a.yaml", "process: {shell: one}\n")
    files = reader(folder)
    files.read()
    status = path.stat()
    entry = files._files.by_path["a.yaml"]
    path.write_text("process: {shell: two}\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    now = path.stat()
    # As on a clock too coarse to separate the two changes.
    same = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
    files._files.keep("a.yaml", replace(entry, signature=same))
    assert line(files.read(), "a") == "two"


@pytest.mark.parametrize(
    ("name", "defaults"),
    [("a.yaml", ""), ("_defaults.yaml", "timing: {except: dates}\n")],
    ids=["of a request", "of defaults"],
)
def test_dates_that_changed_just_before_their_read_are_read_once_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, defaults: str
) -> None:
    monkeypatch.setattr(request_file, "_CLOCK_TICK_NS", 10**12)
    own = "" if defaults else ", except: dates"
    schedule = f"{{frequency: daily, at: '02:00'{own}}}"
    write(folder / "a.yaml", f"process: {{shell: x}}\ntiming: {{schedule: {schedule}}}\n")
    if defaults:
        write(folder / name, defaults)
    dates = write(folder / "dates", "2026-12-25\n")
    files = reader(folder)
    first = files.read().requests["a"].timing
    # As on a clock too coarse to separate the two changes.
    same = signature_at(str(dates))
    for module in (request_file, defaults_files):
        monkeypatch.setattr(module, "signature_at", lambda path: same)
    dates.write_text("2026-12-26\n")
    assert files.read().requests["a"].timing != first


def test_stat_alone_detects_changes(folder: Path) -> None:
    path = write(folder / "a.yaml")
    files = reader(folder)
    assert exhausted(files.look())
    files.read()
    assert not exhausted(files.look())
    changes: list[Callable[[], object]] = [
        lambda: path.write_text("process: {shell: other}\n"),
        lambda: settle(path),
        lambda: write(folder / "sub/b.yaml"),
        lambda: (folder / "sub").rename(folder / "moved"),
        lambda: (folder / "x.yaml").symlink_to("nowhere"),
        lambda: path.unlink(),
        lambda: folder.rename(folder.parent / "away"),
        lambda: (folder.parent / "away").rename(folder),
    ]
    for change in changes:
        change()
        assert exhausted(files.look())
        files.read()
        assert not exhausted(files.look())


def test_files_come_and_go(folder: Path) -> None:
    write(folder / "a.yaml")
    files = reader(folder)
    assert list(files.read().requests) == ["a"]
    (folder / "a.yaml").rename(folder / "b.yaml")
    assert list(files.read().requests) == ["b"]
    (folder / "b.yaml").unlink()
    assert files.read().requests == {}


def test_a_folder_that_a_link_swaps_is_read_again(tmp_path: Path) -> None:
    for commit in ("one", "two"):
        write(tmp_path / commit / "a.yaml", f"process: {{shell: {commit}, directory: .}}\n")
    link = tmp_path / "jobs.d"
    link.symlink_to(tmp_path / "one")
    files = reader(link)
    assert line(files.read(), "a") == "one"
    (tmp_path / "new").symlink_to(tmp_path / "two")
    (tmp_path / "new").rename(link)
    assert exhausted(files.look())
    catalog = files.read()
    assert line(catalog, "a") == "two"
    assert catalog.requests["a"].process.directory == str(link)


def test_a_catalog_shows_one_moment_although_the_folder_changes_during_the_scan(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        write(folder / f"{name}.yaml", "process: {shell: old}\n")
    changes: Iterator[Callable[[], object]] = iter(
        [
            lambda: None,
            lambda: [
                write(folder / f"{name}.yaml", "process: {shell: new one}\n") for name in "ab"
            ],
        ]
    )
    Reads(monkeypatch, before=lambda _: next(changes, lambda: None)())
    catalog = read(folder)
    assert (line(catalog, "a"), line(catalog, "b")) == ("new one", "new one")


def test_a_scan_of_an_ever_changing_folder_ends(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.yaml")
    count = iter(range(1000))
    Reads(
        monkeypatch,
        before=lambda _: write(folder / "a.yaml", f"process: {{shell: x{next(count)}}}\n") and None,
    )
    assert list(read(folder).requests) == ["a"]


def test_a_file_that_disappears_during_its_read_is_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        write(folder / f"{name}.yaml")
    Reads(
        monkeypatch,
        before=lambda name: (
            (folder / "b.yaml").unlink(missing_ok=True) if name == "b.yaml" else None
        ),
    )
    catalog = read(folder)
    assert (list(catalog.requests), catalog.rejections) == (["a"], ())


def test_an_abandoned_scan_leaves_the_change_to_the_next(folder: Path) -> None:
    write(folder / "a.yaml")
    files = reader(folder)
    files.read()
    write(folder / "b.yaml")
    scan = files.scan({})
    next(scan)
    scan.close()
    assert exhausted(files.look())
    assert list(files.read().requests) == ["a", "b"]


def test_a_scan_comes_in_slices(folder: Path) -> None:
    for number in range(50):
        write(folder / f"r{number}.yaml")
    scan = reader(folder).scan({})
    slices = 0
    while True:
        try:
            next(scan)
            slices += 1
        except StopIteration as end:
            assert len(end.value.requests) == 50
            break
    assert slices >= 50
