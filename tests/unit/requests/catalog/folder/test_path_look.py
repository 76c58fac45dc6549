"""A folder read again at the paths that changed shows what a walk would show."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.requests.catalog import request_file, scan
from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.catalog_reader import CatalogReader, exhausted
from runner.requests.catalog.folder.changed_paths import ChangedPaths
from runner.requests.catalog.folder.listing import list_files

Change = Callable[[Path], object]
"""What happens in a jobs folder."""


def text_of(word: str) -> str:
    return f"process: {{shell: {word}}}\n"


def write(path: Path, text: str = text_of("new")) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def replace(path: Path, text: str = text_of("new")) -> None:
    """Replace a file as git and editors do, by a rename."""
    write(path.with_name("tmp_obj_1"), text)
    path.with_name("tmp_obj_1").replace(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    write(path / "d.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "jobs.d"
    for name in ("a.yaml", "b.yaml", "sub/c.yaml", ".git/HEAD", "notes.txt"):
        write(made / name, text_of("old"))
    return made


class Read:
    """A folder that was read once, and is read again at the reported paths."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changed = ChangedPaths()
        self._reader = CatalogReader(folder, default_zone="UTC")
        self.again()

    def again(self, *paths: str, incumbents: Mapping[str, str] | None = None) -> Catalog:
        """Read again. The paths are relative to the folder."""
        self.changed.note(*(str(self.folder / path) for path in paths))
        exhausted(self._reader.glance(self.changed))
        return exhausted(self._reader.scan(incumbents or {}, self.changed))

    def slices(self, *paths: str) -> Generator[None, None, Catalog]:
        """Read again like `again`, without the glance, slice by slice."""
        self.changed.note(*(str(self.folder / path) for path in paths))
        return self._reader.scan({}, self.changed)


def same(one: Catalog, other: Catalog) -> bool:
    return (dict(one.requests), one.rejections, one.files) == (
        dict(other.requests),
        other.rejections,
        other.files,
    )


def differing(one: Catalog, other: Catalog) -> set[str]:
    names = one.requests.keys() | other.requests.keys()
    return {name for name in names if one.requests.get(name) is not other.requests.get(name)}


def fresh(folder: Path) -> Catalog:
    return CatalogReader(folder, default_zone="UTC").read()


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were walked, in order."""
    walked: list[Path] = []

    def noted(folder: Path, *rest: object, **named: object) -> object:
        walked.append(folder)
        return list_files(folder, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(scan, "list_files", noted)
    return walked


CERTAIN: dict[str, tuple[Change, tuple[str, ...]]] = {
    "an edit": (lambda folder: write(folder / "a.yaml"), ("a.yaml",)),
    "an invalid edit": (lambda folder: write(folder / "a.yaml", "process: ["), ("a.yaml",)),
    "a replaced file": (lambda folder: replace(folder / "a.yaml"), ("tmp_obj_1", "a.yaml")),
    "a new file": (lambda folder: write(folder / "sub/d.yaml"), ("sub/d.yaml",)),
    "a removed file": (lambda folder: (folder / "a.yaml").unlink(), ("a.yaml",)),
    "a renamed file": (
        lambda folder: (folder / "a.yaml").rename(folder / "sub/z.yaml"),
        ("a.yaml", "sub/z.yaml"),
    ),
    "two files that swap": (
        lambda folder: [
            (folder / "a.yaml").rename(folder / "x"),
            (folder / "b.yaml").rename(folder / "a.yaml"),
            (folder / "x").rename(folder / "b.yaml"),
        ],
        ("a.yaml", "x", "b.yaml"),
    ),
    "other files": (
        lambda folder: any(map(write, (folder / "notes.txt", folder / ".git/index"))),
        ("notes.txt", ".git/index", ".a.yaml.swp", "_draft.yaml"),
    ),
    "nothing": (lambda folder: None, ()),
}


@pytest.mark.parametrize(("change", "paths"), CERTAIN.values(), ids=CERTAIN.keys())
def test_a_reported_change_is_read_without_a_walk(
    folder: Path, walks: list[Path], change: Change, paths: tuple[str, ...]
) -> None:
    read = Read(folder)
    change(folder)
    walks.clear()
    catalog = read.again(*paths)
    assert not walks
    assert same(catalog, fresh(folder))


DOUBTFUL: dict[str, tuple[Change, tuple[str, ...]]] = {
    "a new link to a file": (
        lambda folder: (folder / "l.yaml").symlink_to("notes.txt"),
        ("l.yaml",),
    ),
    "a new link to a folder": (lambda folder: (folder / "l").symlink_to("/nowhere"), ("l",)),
    "a file that a folder replaced": (
        lambda folder: replace_by_folder(folder / "a.yaml"),
        ("a.yaml",),
    ),
    "a file in a folder that was not walked": (
        lambda folder: write(folder / "later/d.yaml"),
        ("later/d.yaml",),
    ),
    "a file with a second name": (
        lambda folder: (folder / "d.yaml").hardlink_to(folder / "b.yaml"),
        ("d.yaml",),
    ),
    "a named pipe": (lambda folder: os.mkfifo(folder / "p.yaml"), ("p.yaml",)),
    "an unusual name": (lambda folder: write(folder / "ä.yaml"), ("ä.yaml",)),
    "a file that is too large": (
        lambda folder: write(folder / "a.yaml", "#" * (2 << 20)),
        ("a.yaml",),
    ),
    "shared settings": (
        lambda folder: write(folder / "_defaults.yaml", "owner: finance\n"),
        ("_defaults.yaml",),
    ),
    "an unchanged file is reported": (lambda folder: write(folder / "b.yaml"), ("a.yaml",)),
    "an unknown request file is reported": (
        lambda folder: (folder / "sub").rename(folder / "moved"),
        ("sub/d.yaml",),
    ),
    "a path outside the folder": (lambda folder: write(folder / "b.yaml"), ("../b.yaml", "/x")),
}


@pytest.mark.parametrize(("change", "paths"), DOUBTFUL.values(), ids=DOUBTFUL.keys())
def test_in_doubt_the_folder_is_walked(
    folder: Path, walks: list[Path], change: Change, paths: tuple[str, ...]
) -> None:
    read = Read(folder)
    change(folder)
    walks.clear()
    catalog = read.again(*paths)
    assert walks
    assert same(catalog, fresh(folder))


@pytest.mark.parametrize(
    "add",
    [
        lambda folder: (folder / "l.yaml").symlink_to("a.yaml"),
        lambda folder: os.mkfifo(folder / "p.yaml"),
    ],
    ids=["links", "what cannot be read"],
)
def test_a_folder_is_always_walked_with(folder: Path, walks: list[Path], add: Change) -> None:
    add(folder)
    read = Read(folder)
    write(folder / "a.yaml", "name: other\n" + text_of("new"))
    walks.clear()
    assert same(read.again("a.yaml"), fresh(folder))
    assert walks


def test_an_edit_is_merged_without_a_look_at_the_other_requests(folder: Path) -> None:
    read = Read(folder)
    before = read.again()
    write(folder / "a.yaml", f"name: new\n{text_of('new')}on_failure: {{request: b}}\n")
    catalog = read.again("a.yaml")
    assert catalog.former is before.requests
    assert differing(before, catalog) == {"a", "new"} <= catalog.altered
    assert same(catalog, fresh(folder))


def test_a_name_that_two_files_claim_is_given_to_the_incumbent(folder: Path) -> None:
    read = Read(folder)
    write(folder / "aa.yaml", "name: b\n" + text_of("new"))
    catalog = read.again("aa.yaml", incumbents={"b": "b.yaml"})
    assert catalog.requests["b"].source.file == "b.yaml"
    assert [each.file for each in catalog.rejections] == ["aa.yaml"]


def test_a_removed_request_that_others_mention_is_reported(folder: Path) -> None:
    write(folder / "b.yaml", text_of("x") + "on_failure: {request: a}\n")
    read = Read(folder)
    (folder / "a.yaml").unlink()
    catalog = read.again("a.yaml")
    assert [each.file for each in catalog.rejections] == ["b.yaml"]
    assert same(catalog, fresh(folder))


def test_changed_dates_are_read_with_a_reported_edit(folder: Path, tmp_path: Path) -> None:
    timing = "timing: {schedule: {frequency: daily, at: '02:00', except: ../days.txt}}\n"
    write(tmp_path / "days.txt", "2027-01-01\n")
    write(folder / "a.yaml", text_of("old") + timing)
    read = Read(folder)
    write(tmp_path / "days.txt", "2027-01-01\n2027-01-02\n")
    assert same(read.again(), fresh(folder))


def test_a_missing_or_wrong_path_is_repaired_by_the_next_walk(folder: Path) -> None:
    read = Read(folder)
    write(folder / "a.yaml", text_of("unreported"))
    (folder / "sub/c.yaml").rename(folder / "c.yaml")
    read.again("notes.txt", "sub/.c.yaml.swp")
    read.changed.doubt()
    assert same(read.again(), fresh(folder))


def test_a_walk_is_followed_by_looks_at_single_paths_again(folder: Path, walks: list[Path]) -> None:
    read = Read(folder)
    read.changed.doubt()
    read.again()
    write(folder / "a.yaml")
    walks.clear()
    catalog = read.again("a.yaml")
    assert not walks
    assert same(catalog, fresh(folder))


def test_an_edit_amid_a_read_is_found_by_that_read_or_by_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file that changed a moment ago is read again anyway, which would hide a lost edit.
    monkeypatch.setattr(request_file, "_CLOCK_TICK_NS", 0)
    names = [f"f{number}.yaml" for number in range(20)]
    for name in names:
        write(folder / name, text_of("old"))
    read = Read(folder)
    slices = read.slices(names[0])
    write(folder / names[0])
    for name, _ in zip(names[1:], slices, strict=False):
        write(folder / name)
        read.changed.note(str(folder / name))
    assert same(read.again(), fresh(folder))


NAMES = ("a.yaml", "b.yaml", "sub/c.yaml", "sub/d.yaml")
STEPS = st.one_of(
    st.tuples(
        st.just("write"),
        st.sampled_from(NAMES),
        st.sampled_from(
            (
                text_of("one"),
                text_of("one") + "on_failure: {request: b}\n",
                text_of("one") + "formerly: old\n",
                "process: {group: {members: [{request: c}, {request: d}]}}\n",
                f"name: b\n{text_of('two')}---\nname: e\n{text_of('three')}",
                "process: [",
            )
        ),
    ),
    st.tuples(st.just("remove"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
)


def done(folder: Path, step: tuple[str, str, str]) -> tuple[str, ...]:
    """Do one step; return the paths that a watcher would report."""
    what, name, other = step
    path = folder / name
    if what == "write":
        write(path, other)
        return (name,)
    if not path.exists() or name == other:
        return ()
    if what == "remove":
        path.unlink()
        return (name,)
    path.rename(folder / other)
    return name, other


@settings(deadline=None, max_examples=80)
@given(st.lists(st.lists(STEPS, max_size=3), max_size=6))
def test_reported_paths_show_what_a_fresh_read_shows(series: list[list[tuple[str, ...]]]) -> None:
    made = Path(tempfile.mkdtemp())
    try:
        (made / "sub").mkdir()
        read = Read(made)
        before = read.again()
        for steps in series:
            paths = [path for step in steps for path in done(made, step)]  # type: ignore[arg-type]
            catalog = read.again(*paths)
            assert same(catalog, fresh(made))
            if catalog.former is not None:
                assert catalog.former is before.requests
                assert differing(before, catalog) <= catalog.altered
            before = catalog
    finally:
        shutil.rmtree(made)
