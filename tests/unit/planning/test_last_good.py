"""Which definitions are in force: for a bad document, its last good version."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import Problem
from runner.planning.last_good import InForce, in_force
from runner.requests.catalog.catalog import Catalog, Rejection
from runner.requests.model import Process, ProcessRequest, Program, RunImmediately, Source


def request_of(
    name: str, file: str = "a.yaml", *, description: str | None = None
) -> ProcessRequest:
    process = Process(name=name, action=Program(arguments=("true",)), directory="/")
    source = Source(file=file, line=1, sha256="")
    return ProcessRequest(
        name=name, process=process, timing=RunImmediately(), source=source, description=description
    )


def by_name(*requests: ProcessRequest) -> dict[str, ProcessRequest]:
    return {request.name: request for request in requests}


def catalog_of(
    *requests: ProcessRequest,
    rejections: tuple[Rejection, ...] = (),
    files: int = 1,
    absence: str | None = None,
) -> Catalog:
    folder = Path("jobs.d")
    return Catalog(
        folder=folder,
        requests=by_name(*requests),
        rejections=rejections,
        files=files,
        absence=absence,
    )


def rejected(file: str, *names: str, whole: bool = False) -> Rejection:
    problem = Problem(file=file, line=1, column=1, path="", message="it is wrong")
    return Rejection(file=file, problems=(problem,), names=frozenset(names), whole=whole)


def test_good_requests_are_in_force() -> None:
    new = catalog_of(request_of("p", description="new"))
    assert in_force(new, by_name(request_of("p", description="old"))) == InForce(
        requests=new.requests, kept={}
    )


def test_a_request_deleted_from_a_readable_file_is_removed() -> None:
    assert in_force(
        catalog_of(request_of("p")), by_name(request_of("p"), request_of("q"))
    ).requests.keys() == {"p"}


def test_an_unreadable_file_keeps_exactly_the_requests_it_last_supplied() -> None:
    bad = rejected("a.yaml", whole=True)
    supplied = by_name(request_of("p"), request_of("q"), request_of("r", "b.yaml"))
    force = in_force(catalog_of(rejections=(bad,)), supplied)
    assert force.requests.keys() == force.kept.keys() == {"p", "q"}
    assert set(force.kept.values()) == {bad}


def test_a_bad_document_keeps_only_itself() -> None:
    bad = rejected("a.yaml", "p")
    force = in_force(
        catalog_of(request_of("q"), rejections=(bad,)), by_name(request_of("p"), request_of("r"))
    )
    assert force.requests.keys() == {"p", "q"}
    assert force.kept == {"p": bad}


def test_a_document_that_was_never_good_is_not_in_force() -> None:
    assert in_force(catalog_of(rejections=(rejected("a.yaml", "p"),)), {}) == InForce(
        requests={}, kept={}
    )


def test_a_rejected_newcomer_takes_nothing_from_the_incumbent() -> None:
    incumbent = request_of("p", "a.yaml")
    force = in_force(
        catalog_of(incumbent, rejections=(rejected("b.yaml", "p"),)), by_name(incumbent)
    )
    assert force == InForce(requests={"p": incumbent}, kept={})


def test_a_duplicate_name_in_one_file_does_not_bring_back_the_previous_first_document() -> None:
    edited = request_of("p", description="new")
    force = in_force(
        catalog_of(edited, rejections=(rejected("a.yaml", "p"),)), by_name(request_of("p"))
    )
    assert force == InForce(requests={"p": edited}, kept={})


def test_a_document_that_moved_to_a_good_file_belongs_to_that_file() -> None:
    moved = request_of("p", "b.yaml")
    force = in_force(
        catalog_of(moved, rejections=(rejected("a.yaml", "q"),)), by_name(request_of("p", "a.yaml"))
    )
    assert force == InForce(requests={"p": moved}, kept={})


def test_a_document_that_moved_and_is_bad_there_keeps_its_last_good_version() -> None:
    bad, supplied = (
        rejected("b.yaml", "p"),
        by_name(request_of("p", "a.yaml"), request_of("q", "a.yaml")),
    )
    force = in_force(catalog_of(rejections=(bad,)), supplied)
    assert force == InForce(requests={"p": supplied["p"]}, kept={"p": bad})
    assert in_force(catalog_of(files=1), force.requests) == InForce(requests={}, kept={})


def test_of_two_bad_documents_with_one_name_the_original_file_gives_the_reason() -> None:
    own, other = rejected("a.yaml", "p"), rejected("b.yaml", "p")
    for rejections in ((own, other), (other, own)):
        assert in_force(catalog_of(rejections=rejections), by_name(request_of("p"))).kept == {
            "p": own
        }


def test_the_last_good_version_survives_several_reloads() -> None:
    bad, supplied = rejected("a.yaml", whole=True), by_name(request_of("p", description="good"))
    for _ in range(3):
        supplied = dict(in_force(catalog_of(rejections=(bad,)), supplied).requests)
    assert supplied["p"].description == "good"


def test_a_missing_folder_keeps_everything() -> None:
    supplied = by_name(request_of("p"))
    force = in_force(catalog_of(files=0, absence="does not exist"), supplied)
    assert force == InForce(requests=supplied, kept={}, emptiness="does not exist")


def test_several_files_that_vanish_at_once_are_kept_and_one_alone_is_removed() -> None:
    several = by_name(request_of("p", "a.yaml"), request_of("q", "b.yaml"))
    one = by_name(request_of("p", "a.yaml"), request_of("q", "a.yaml"))
    assert in_force(catalog_of(files=0), several).emptiness == "is empty"
    assert in_force(catalog_of(files=0), one) == InForce(requests={}, kept={})


def test_files_that_cannot_be_read_have_not_vanished() -> None:
    supplied = by_name(request_of("p", "a.yaml"), request_of("q", "b.yaml"))
    unreadable = tuple(rejected(file, whole=True) for file in ("", "a.yaml", "b.yaml"))
    force = in_force(catalog_of(files=0, rejections=unreadable), supplied)
    assert (force.requests, sorted(force.kept), force.emptiness) == (supplied, ["p", "q"], None)
    force = in_force(catalog_of(files=0, rejections=(rejected("c.yaml", whole=True),)), supplied)
    assert (force.requests, force.emptiness) == (supplied, "has no readable request file")


@pytest.mark.parametrize("absence", ["does not exist", None])
def test_allow_empty_permits_emptying_the_folder(absence: str | None) -> None:
    supplied = by_name(request_of("p", "a.yaml"), request_of("q", "b.yaml"))
    assert in_force(catalog_of(files=0, absence=absence), supplied, allow_empty=True).requests == {}


def test_an_empty_folder_of_a_new_store_is_simply_empty() -> None:
    assert not in_force(catalog_of(files=0, absence="does not exist"), {}).is_kept_whole


def test_comparing_only_touched_names_gives_the_same_result() -> None:
    supplied = by_name(
        request_of("p"), request_of("q"), request_of("r", "b.yaml"), request_of("s", "c.yaml")
    )
    new = catalog_of(
        supplied["s"], rejections=(rejected("a.yaml", "q"), rejected("b.yaml", whole=True))
    )
    force = in_force(new, supplied)
    assert force.requests.keys() == {"q", "r", "s"}
    assert in_force(new, supplied, among={"p", "q", "r"}) == force
