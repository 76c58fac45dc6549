from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from markupsafe import Markup
from support.place import wait_until

from runner.errors import StoreError
from runner.web.pages import shared_contents
from runner.web.pages.rendering import Rendered
from runner.web.pages.shared_contents import Contents


def titled(title: str) -> Rendered:
    return Rendered(title=title, html=Markup(), zone="UTC")


def of(*titles: str) -> Callable[[], Rendered]:
    """Return a computation that gives these titles, one after another."""
    left = iter(titles)
    return lambda: titled(next(left))


def make_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every content be old at once."""
    monkeypatch.setattr(shared_contents, "_FRESH_S", 0.0)
    monkeypatch.setattr(shared_contents, "_OLDEST_S", 0.0)


def test_viewers_of_the_same_share_a_content_and_others_do_not() -> None:
    contents, compute = Contents(), of("one", "two")
    assert contents.rendered("ana", compute).title == "one"
    assert contents.rendered("ana", compute).title == "one"
    assert contents.rendered("otto", compute).title == "two"


def test_an_old_content_is_computed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    contents, compute = Contents(), of("one", "two")
    assert contents.rendered("ana", compute).title == "one"
    make_old(monkeypatch)
    assert contents.rendered("ana", compute).title == "two"


def test_while_one_viewer_waits_for_a_new_content_others_see_the_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contents = Contents()
    contents.rendered("ana", of("old"))
    make_old(monkeypatch)
    monkeypatch.setattr(shared_contents, "_STALE_S", 3600.0)
    is_computing, may_end = threading.Event(), threading.Event()

    def slowly() -> Rendered:
        is_computing.set()
        assert may_end.wait(30)
        return titled("new")

    first = threading.Thread(target=contents.rendered, args=("ana", slowly))
    first.start()
    assert is_computing.wait(30)
    assert contents.rendered("ana", of()).title == "old"
    may_end.set()
    first.join(30)
    monkeypatch.setattr(shared_contents, "_OLDEST_S", 3600.0)
    monkeypatch.setattr(shared_contents, "_FRESH_S", 3600.0)
    assert contents.rendered("ana", of()).title == "new"


def test_of_several_viewers_none_waits_while_a_thread_computes_the_content_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contents = Contents()
    contents.rendered("ana", of("old"))
    shown = contents.at_hand("ana", of())
    assert shown is not None, "a fresh content was at hand"
    monkeypatch.setattr(shared_contents, "_STALE_S", 3600.0)
    make_old(monkeypatch)
    monkeypatch.setattr(shared_contents, "_POPULAR_S", 0.0)
    assert contents.at_hand("ana", of()) is None, "nobody else looked within that time"

    is_computing, may_end, computed = threading.Event(), threading.Event(), []

    def slowly() -> Rendered:
        computed.append(1)
        is_computing.set()
        assert may_end.wait(30)
        monkeypatch.setattr(shared_contents, "_OLDEST_S", 3600.0)
        monkeypatch.setattr(shared_contents, "_FRESH_S", 3600.0)
        return titled("new")

    monkeypatch.setattr(shared_contents, "_POPULAR_S", 3600.0)
    for _ in range(3):
        shown = contents.at_hand("ana", slowly)
        assert shown is not None
        assert shown.title == "old"
        assert is_computing.wait(30)
    may_end.set()
    wait_until(lambda: contents.rendered("ana", of()).title == "new")
    assert computed == [1]


def test_a_content_that_a_thread_could_not_compute_is_computed_for_its_next_viewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contents = Contents()
    contents.rendered("ana", of("old"))
    monkeypatch.setattr(shared_contents, "_STALE_S", 3600.0)
    monkeypatch.setattr(shared_contents, "_POPULAR_S", 3600.0)
    contents.at_hand("ana", of())
    make_old(monkeypatch)

    def failing() -> Rendered:
        raise StoreError("locked")

    assert contents.at_hand("ana", failing) is not None
    wait_until(lambda: contents.at_hand("ana", failing) is None)
    with pytest.raises(StoreError):
        contents.rendered("ana", failing)


def test_a_failure_is_not_remembered() -> None:
    contents = Contents()

    def failing() -> Rendered:
        raise StoreError("locked")

    with pytest.raises(StoreError):
        contents.rendered("ana", failing)
    assert contents.rendered("ana", of("one")).title == "one"


def test_the_number_of_kept_contents_is_bounded() -> None:
    contents, computed = Contents(), []

    def compute() -> Rendered:
        computed.append(1)
        return titled("one")

    for address in [*range(1000), 999]:
        contents.rendered(address, compute)
    assert len(computed) == 1000
    contents.rendered(0, compute)
    assert len(computed) == 1001
