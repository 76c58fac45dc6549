from __future__ import annotations

from pathlib import Path

import pytest
from support.place import Place
from support.web_world import places_of

from runner.access.loading import load
from runner.access.shown.written_definition import Line, written_definition
from runner.errors import RefusedError

ALONE = "# What the bank sent\n\nprocess: {command: ['true']}\n"
SEVERAL = """\
name: first
process: {command: ['true']}
---
# The second

name: second
process: {command: ['true']}
---
---
name: third
process: {command: ['true']}
"""


def written(place: Place, name: str) -> list[Line]:
    request = load(places_of(place)).in_force.requests[name]
    return written_definition(request.source, place.jobs)


def test_a_file_of_one_request_is_shown_whole(place: Place) -> None:
    (place.jobs / "bank.yaml").write_text(ALONE)
    lines = ALONE.rstrip("\n").split("\n")
    assert written(place, "bank") == [*enumerate(lines, 1)]


@pytest.mark.parametrize(("name", "first", "last"), [("first", 1, 2), ("second", 3, 7)])
def test_of_several_documents_the_request_s_own_is_shown_with_its_line_numbers(
    place: Place, name: str, first: int, last: int
) -> None:
    (place.jobs / "all.yaml").write_text(SEVERAL)
    whole = [*enumerate(SEVERAL.split("\n"), 1)]
    assert written(place, name) == whole[first - 1 : last]


def test_after_an_empty_document_the_numbers_are_right(place: Place) -> None:
    (place.jobs / "all.yaml").write_text(SEVERAL)
    last = [(10, "name: third"), (11, "process: {command: ['true']}")]
    assert written(place, "third")[-2:] == last


def test_a_file_that_has_changed_since_is_not_shown_as_the_definition(place: Place) -> None:
    path = place.jobs / "bank.yaml"
    path.write_text(ALONE)
    request = load(places_of(place)).in_force.requests["bank"]
    for change, words in (
        (lambda: path.write_text(ALONE.replace("true", "false")), "has changed since"),
        (path.unlink, "cannot be read"),
    ):
        change()
        with pytest.raises(RefusedError, match=words):
            written_definition(request.source, place.jobs)


def test_a_file_behind_a_link_that_leads_out_of_the_jobs_folder_is_not_shown(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside: Path = tmp_path_factory.mktemp("outside") / "bank.yaml"
    outside.write_text(ALONE)
    (place.jobs / "bank.yaml").symlink_to(outside)
    with pytest.raises(RefusedError, match="outside the jobs folder"):
        written(place, "bank")
