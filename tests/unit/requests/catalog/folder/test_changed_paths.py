"""Which paths a watcher's notes name, and when they leave a doubt."""

from __future__ import annotations

from runner.requests.catalog.folder.changed_paths import MOST_NOTES, ChangedPaths


def settled() -> ChangedPaths:
    changed = ChangedPaths()
    changed.take(ends_doubt=True)
    return changed


def test_at_first_every_path_may_have_changed() -> None:
    assert ChangedPaths().take() is None


def test_noted_paths_are_taken_once() -> None:
    changed = settled()
    changed.note("/jobs/a.yaml")
    changed.note("/jobs/b.yaml", "/jobs/c.yaml")
    assert changed.take() == frozenset({"/jobs/a.yaml", "/jobs/b.yaml", "/jobs/c.yaml"})
    assert changed.take() == frozenset()


def test_a_doubt_holds_until_the_whole_folder_is_read() -> None:
    changed = settled()
    changed.note("/jobs/a.yaml")
    changed.doubt()
    changed.note("/jobs/b.yaml")
    assert [changed.take(), changed.take(), changed.take(ends_doubt=True)] == [None] * 3
    changed.note("/jobs/c.yaml")
    assert changed.take() == frozenset({"/jobs/c.yaml"})


def test_many_notes_are_a_doubt_even_if_all_are_about_one_path() -> None:
    changed = settled()
    for _ in range(MOST_NOTES):
        changed.note("/jobs/output.txt")
    assert changed.take() == frozenset({"/jobs/output.txt"})
    changed.note("/jobs/output.txt")
    assert changed.take(ends_doubt=True) is None
