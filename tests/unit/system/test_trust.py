"""The rule of what root trusts: owners, modes, links, and the folders on the way."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.system.trust import ROOT, Grade, Trust, UntrustedError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to change owners")
SOMEBODY = 54321


@pytest.fixture
def place(tmp_path: Path) -> Path:
    file = tmp_path / "way" / "folder" / "file"
    file.parent.mkdir(parents=True)
    file.touch(mode=0o644)
    return file


def test_a_path_that_only_root_may_change_is_trusted_even_if_it_is_missing(place: Path) -> None:
    assert ROOT.objection(place) is None
    assert ROOT.vetted(place) == os.path.realpath(place)
    assert ROOT.objection(place / "below") is None
    assert ROOT.objection(place.with_name("none") / "more") is None


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize(
    ("change", "grade"),
    [
        (lambda path: path.chmod(path.stat().st_mode | 0o002), Grade.OTHERS),
        (lambda path: os.chown(path, SOMEBODY, 0), Grade.OWNER),
    ],
)
def test_each_folder_on_the_way_counts_and_the_suggested_command_fixes_it(
    place: Path, depth: int, change: Callable[[Path], None], grade: Grade
) -> None:
    changed = [place, *place.parents][depth]
    change(changed)
    objection = ROOT.objection(place)
    assert objection is not None
    assert (objection.path, objection.grade) == (str(changed), grade)
    with pytest.raises(UntrustedError, match="root does not use it"):
        ROOT.vetted(place)
    os.system(objection.suggestion)
    assert ROOT.objection(place) is None


def test_a_sticky_folder_may_be_world_writable_only_on_the_way(place: Path) -> None:
    place.parent.chmod(0o1777)
    assert ROOT.objection(place) is None
    assert ROOT.objection(place.parent) is not None
    os.chown(place, SOMEBODY, 0)
    assert ROOT.objection(place) is not None


def test_a_group_writable_file_is_refused_and_a_folder_on_the_way_only_by_the_strict_rule(
    place: Path,
) -> None:
    place.chmod(0o664)
    assert ROOT.objection(place) is None
    os.chown(place, 0, SOMEBODY)
    assert ROOT.objection(place) is not None
    os.chown(place, 0, 0)
    os.chown(place.parent, 0, SOMEBODY)
    place.parent.chmod(0o775)
    assert ROOT.objection(place) is None
    strict = ROOT.objection(place, is_strict=True)
    assert strict is not None
    assert (strict.path, strict.grade) == (str(place.parent), Grade.GROUP)
    others = Trust(users=frozenset({0}), groups=frozenset({0, SOMEBODY}))
    assert others.objection(place, is_strict=True) is None


def test_an_access_control_list_that_lets_others_write_counts(place: Path) -> None:
    def granted(tag: int, number: int) -> bytes:
        entries = [
            (0x01, 6, 2**32 - 1),
            (tag, 6, number),
            (0x04, 4, 2**32 - 1),
            (0x10, 6, 2**32 - 1),
        ]
        packed = (struct.pack("<HHI", *entry) for entry in sorted((*entries, (0x20, 4, 2**32 - 1))))
        return struct.pack("<I", 2) + b"".join(packed)

    for tag, number in ((0x02, SOMEBODY), (0x08, SOMEBODY)):
        try:
            os.setxattr(place, "system.posix_acl_access", granted(tag, number))
        except OSError as error:
            assert error.errno == errno.ENOTSUP
            pytest.skip("this file system has no access control lists")
        assert place.stat().st_mode & 0o020
        objection = ROOT.objection(place)
        assert objection is not None
        assert "by an access control list" in objection.reason
    os.setxattr(place, "system.posix_acl_access", granted(0x02, 0))
    assert ROOT.objection(place) is None


def test_a_link_is_trusted_only_if_root_owns_it_and_all_folders_behind_it(
    place: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to("way/../way/folder")
    assert ROOT.vetted(link / "file") == str(place)
    os.chown(link, SOMEBODY, SOMEBODY, follow_symlinks=False)
    objection = ROOT.objection(link / "file")
    assert objection is not None
    assert objection.reason == f"{link} is a link of uid {SOMEBODY}"
    assert objection.suggestion == f"chown -h root {link}"
    os.chown(link, 0, 0, follow_symlinks=False)
    place.parent.parent.chmod(0o777)
    assert ROOT.objection(link / "file") is not None


def test_a_cycle_of_links_and_impossible_names_raise_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert ROOT.objection(tmp_path / "a") is None
    assert ROOT.objection(tmp_path / ("x" * 300)) is None
    assert ROOT.objection(f"{tmp_path}/nul\0") is None
