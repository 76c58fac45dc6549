"""The outputs in a folder, whatever somebody put there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.execution.kept_outputs import KeptOutputs, kept_outputs
from runner.execution.output import member_output_path, output_path
from runner.values import new_id


def written(path: Path, content: str = "0123456789") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_outputs_are_found_by_execution_and_those_of_members_by_their_group(
    tmp_path: Path,
) -> None:
    plain, group = (Path(output_path(tmp_path, new_id())) for _ in range(2))
    written(plain)
    members = [member_output_path(group, sequence=n, attempt=1) for n in (1, 2)]
    nested = member_output_path(members[0], sequence=1, attempt=2)
    for path in (*members, nested):
        written(path, "12345")
    kept = kept_outputs(tmp_path)
    assert {name: each[:2] for name, each in kept.found.items()} == {
        plain.stem: (10, 1),
        group.stem: (15, 3),
    }
    kept.remove(group.stem)
    assert [path for path in tmp_path.glob("*/*/*") if path.is_file()] == [plain]


def test_a_link_is_removed_and_what_it_points_to_stays(tmp_path: Path) -> None:
    target = written(tmp_path / "mine.txt")
    link = Path(output_path(tmp_path / "outputs", new_id()))
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    kept = kept_outputs(tmp_path / "outputs")
    assert kept.found[link.stem].size < 10 + len(str(target))
    kept.remove(link.stem)
    assert not os.path.lexists(link)
    assert target.read_text() == "0123456789"


def test_a_linked_folder_inside_the_outputs_is_not_entered(tmp_path: Path) -> None:
    elsewhere = written(tmp_path / "elsewhere" / "a" / "somebody.out")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "f").symlink_to(tmp_path / "elsewhere")
    assert kept_outputs(tmp_path / "outputs").found == {}
    assert elsewhere.exists()


def test_strays_folders_and_fifos_with_the_name_of_an_output_do_no_harm(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b"
    for name in ("x.out", ".out", ".hidden.out", "x.y.out", "no-output.txt"):
        written(place / name)
    (place / "folder.out").mkdir()
    os.mkfifo(place / "fifo.out")
    kept = kept_outputs(tmp_path)
    assert set(kept.found) == {"x", "", "folder", "fifo"}
    for name in list(kept.found):
        kept.remove(name)
    assert sorted(path.name for path in place.iterdir()) == ["folder.out", "no-output.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove every file")
def test_a_file_that_may_not_be_removed_stays(tmp_path: Path) -> None:
    path = written(Path(output_path(tmp_path, new_id())))
    path.parent.chmod(0o500)
    kept = kept_outputs(tmp_path)
    kept.remove(path.stem)
    assert path.exists()
    path.parent.chmod(0o700)


def test_the_folder_is_looked_at_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.execution.kept_outputs.SLICE", 5)
    for _ in range(20):
        written(Path(output_path(tmp_path, new_id())))
    kept = KeptOutputs(tmp_path)
    assert [len(kept.found) for _ in kept.look()] == [5, 10, 15, 20]


def test_a_missing_folder_has_no_outputs(tmp_path: Path) -> None:
    kept = kept_outputs(tmp_path / "none")
    assert kept.found == {}
    kept.remove(new_id())
