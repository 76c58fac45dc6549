from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from runner.errors import StoreError
from runner.web.pages import rendering
from runner.web.pages.rendering import Content, Contents


def changes(title: str) -> Content:
    values: dict[str, object] = {
        "changes": [],
        "kind": "",
        "kinds": ("",),
        "older": None,
        "clock": None,
    }
    return Content(template="changes.html", title=title, values=values)


def of(*titles: str) -> Callable[[], Content]:
    """Return a computation that gives these titles, one after another."""
    left = iter(titles)
    return lambda: changes(next(left))


def test_viewers_of_the_same_share_a_content_and_others_do_not() -> None:
    contents, compute = Contents(), of("one", "two")
    assert contents.rendered("ana", compute).title == "one"
    assert contents.rendered("ana", compute).title == "one"
    assert contents.rendered("otto", compute).title == "two"


def test_an_old_content_is_computed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    contents, compute = Contents(), of("one", "two")
    assert contents.rendered("ana", compute).title == "one"
    monkeypatch.setattr(rendering, "_FRESH_S", 0.0)
    assert contents.rendered("ana", compute).title == "two"


def test_while_one_viewer_waits_for_a_new_content_others_see_the_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contents = Contents()
    contents.rendered("ana", of("old"))
    monkeypatch.setattr(rendering, "_FRESH_S", 0.0)
    monkeypatch.setattr(rendering, "_STALE_S", 3600.0)
    is_computing, may_end = threading.Event(), threading.Event()

    def slowly() -> Content:
        is_computing.set()
        assert may_end.wait(30)
        return changes("new")

    first = threading.Thread(target=contents.rendered, args=("ana", slowly))
    first.start()
    assert is_computing.wait(30)
    assert contents.rendered("ana", of()).title == "old"
    may_end.set()
    first.join(30)
    monkeypatch.setattr(rendering, "_FRESH_S", 3600.0)
    assert contents.rendered("ana", of()).title == "new"


def test_a_failure_is_not_remembered() -> None:
    contents = Contents()

    def failing() -> Content:
        raise StoreError("locked")

    with pytest.raises(StoreError):
        contents.rendered("ana", failing)
    assert contents.rendered("ana", of("one")).title == "one"


def test_the_number_of_kept_contents_is_bounded() -> None:
    contents, computed = Contents(), []

    def compute() -> Content:
        computed.append(1)
        return changes("one")

    for address in [*range(1000), 999]:
        contents.rendered(address, compute)
    assert len(computed) == 1000
    contents.rendered(0, compute)
    assert len(computed) == 1001
