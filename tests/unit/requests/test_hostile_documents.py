"""Hostile content of a jobs folder: no crash, no hang, no answer longer than its question."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.errors import Problem
from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.catalog_reader import CatalogReader
from runner.requests.catalog.file_reader import loaded
from runner.requests.catalog.request_file import Place, RequestFile
from runner.requests.files.bounded_read import LARGEST, Trouble, read_bounded
from runner.requests.yaml.document import documents_in
from runner.resources import example_files

VALID = b"""\
name: nightly-posting
process:
  command: [python3, post.py, --all]
  environment: {ERP_URL: "https://erp.example"}
  timeout: 30m
timing:
  schedule: {frequency: daily, days: weekdays, at: "02:00", timezone: Europe/Madrid,
             finish: 2027-06-30}
---
name: other
process: {shell: "true"}
"""
LINE_ENDINGS = ("\r\n", "\n", "\r", "\x85", "\u2028", "\u2029")
SOON_S, SOON_S_PER_BYTE = 15.0, 1e-4
"""Processor time; a hundred times what an idle machine needs, as only what does not end
soon on any machine takes.
"""
ASCII_SOUP = "[]{}:,-?&*!|>'\"%@`#<~=. \n\tab01:\\"


def load(raw: bytes) -> RequestFile:
    place = Place(
        relative="a.yaml",
        display="jobs.d/a.yaml",
        path="/nowhere/jobs.d/a.yaml",
        default_zone="UTC",
    )
    return loaded(raw, place)


def timed(raw: bytes) -> tuple[RequestFile, float]:
    begun_s = time.process_time()
    return load(raw), time.process_time() - begun_s


def check(raw: bytes) -> RequestFile:
    """Load a file; check that the answer is fast and short, and that each problem is
    within the file.
    """
    file, taken_s = timed(raw)
    assert taken_s < SOON_S + len(raw) * SOON_S_PER_BYTE
    if file.rejection:
        assert file.problems
        assert file.rejection.whole or file.rejection.names
    assert sum(len(str(problem)) for problem in file.problems) < 200_000
    for problem in file.problems:
        assert len(str(problem)) < 1500
        assert str(problem).isprintable()
        line, column = place_in(raw, problem)
        assert (problem.line, problem.column) == (line, column), "the place is not in the file"
    return file


def place_in(raw: bytes, problem: Problem) -> tuple[int, int]:
    """Return the position in a file nearest to a problem's, which may be past a line's end."""
    lines = re.split("|".join(LINE_ENDINGS), raw.decode("utf-8-sig", errors="replace"))
    line = min(max(problem.line, 1), len(lines))
    return line, min(max(problem.column, 1), len(lines[line - 1]) + 1)


def test_the_valid_file_is_valid() -> None:
    assert [each.request.name for each in check(VALID).candidates] == ["nightly-posting", "other"]


def test_every_prefix_of_a_valid_file_is_read_or_reported() -> None:
    for length in range(len(VALID)):
        check(VALID[:length])


@settings(max_examples=100)
@example(b"@\xd7\x88")  # an unprintable character in the text that the message quotes
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_reported(raw: bytes) -> None:
    check(raw)


@settings(max_examples=100)
@given(st.text(alphabet=ASCII_SOUP, max_size=80))
def test_any_soup_of_indicators_is_read_or_reported(text: str) -> None:
    check(text.encode())


@settings(max_examples=100)
@given(st.integers(0, len(VALID)), st.integers(0, 40), st.text(alphabet=ASCII_SOUP, max_size=6))
def test_any_splice_into_a_valid_file_is_read_or_reported(at: int, cut: int, text: str) -> None:
    check(VALID[:at] + text.encode() + VALID[at + cut :])


DATES = ["2026-12-24", "2026-02-30", "2026-12-24 18:00", "9999-12-31 23:59", "1969-12-31 00:00"]
OTHERS = [
    "30s",
    "0s",
    "36525d",
    "Europe/Madrid",
    "Apia",
    "../x",
    "",
    "é",
    "* * * * *",
    "0 0 30 2 *",
    "TERM",
    "-",
    "a" * 300,
]
TEXTS = ["02:00", "24:00", *DATES, *OTHERS]
near_values = (
    st.sampled_from(TEXTS)
    | st.integers(-1, 10**18)
    | st.booleans()
    | st.none()
    | st.lists(st.sampled_from(TEXTS), max_size=3)
)


def near(fixed: dict[str, st.SearchStrategy[Any]], names: str) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(fixed, optional=dict.fromkeys(names.split(), near_values))


near_schedules = st.one_of(
    near(
        {"frequency": st.just("hourly"), "interval": st.integers(1, 10**6)},
        "start finish spread timezone except",
    ),
    near(
        {"frequency": st.just("daily"), "at": st.sampled_from(TEXTS[:2])},
        "start finish timezone interval except repetitions",
    ),
    near(
        {"frequency": st.just("weekly"), "days": st.just(["monday"])},
        "at start finish interval repetitions",
    ),
    near(
        {"frequency": st.just("monthly"), "day": st.sampled_from([31, "fifth friday"])},
        "at start finish interval",
    ),
    near(
        {"frequency": st.just("cron"), "expression": st.sampled_from(TEXTS)},
        "start finish timezone repetitions",
    ),
)
near_timings = st.one_of(
    st.fixed_dictionaries({"schedule": near_schedules}),
    st.fixed_dictionaries(
        {"run_later": near({"start": near_values}, "timezone misfire misfire_grace")}
    ),
)
near_processes = near(
    {"shell": near_values},
    "directory environment timeout stop_signal stop_grace name prevent_concurrent",
)


@settings(max_examples=200)
@given(
    near(
        {"process": near_processes, "timing": near_timings},
        "name owner labels context scheduled reschedule",
    )
)
def test_any_structure_near_a_valid_one_is_read_or_reported(data: object) -> None:
    check(json.dumps(data, ensure_ascii=False).encode())


SAMPLES = [VALID.decode(), *(path.read_text() for path in example_files())]
FRAGMENTS = [
    "&a ",
    "*a",
    "<<: *a\n",
    "<<",
    "!x ",
    "!!binary ",
    "!!python/object/apply:os.system ",
    "%YAML 9.9\n---\n",
    "%TAG ! tag:x,2000:\n---\n",
    "---\n",
    "--- ",
    "...\n",
    "? ",
    "- ",
    ": ",
    ":",
    "[",
    "]",
    "{",
    "}",
    ",",
    "|\n",
    ">-\n",
    "|9\n",
    "'",
    '"',
    "\\",
    '"\\ud800"',
    '"\\0"',
    '"\\x00"',
    '"\\U00110000"',
    '"\\u2028"',
    "\ufeff",
    "\ufffe",
    "\0",
    "\x01",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\r",
    "\r\n",
    "\t",
    "  ",
    "#",
    "@",
    "`",
    "%",
    "0o777",
    "1_000",
    ".inf",
    "1e999",
    "9" * 40,
    "-0",
    "0x1F",
    "12:30:45",
    "2026-13-45",
    "~",
    "name: x\n",
    "process:\n",
    "timing:\n",
    "[" * 8,
    "{a: {b: {c: {",
    "é",
    "\U0001f600",
    "\udc80",
    "a" * 300,
    "x: " * 20,
    "- " * 40,
    "? " * 40,
]
CODECS = [*["utf-8"] * 12, "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp1252"]


def mutated(chance: random.Random, text: str) -> bytes:
    """Damage a text in the ways YAML breaks: its syntax, moved lines, another encoding."""
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(text) + 1)
        lines = text.splitlines(keepends=True) or [""]
        one, other = (chance.randrange(len(lines)) for _ in range(2))
        match chance.randrange(7):
            case 0:
                text = text[:at] + text[at + chance.randint(1, 30) :]
            case 1:
                text = text[: at + chance.randint(1, 60)] + text[at:]
            case 2:
                lines[one], lines[other] = lines[other], lines[one]
                text = "".join(lines)
            case 3:
                lines[one] = " " * chance.randrange(6) + lines[one].lstrip(" ")
                text = "".join(lines)
            case _:
                text = (
                    text[:at]
                    + chance.choice(FRAGMENTS) * chance.choice((1, 1, 1, 2, 50))
                    + text[at:]
                )
    codec = chance.choice(CODECS)
    return text.encode(codec, errors="surrogatepass" if codec.startswith("utf") else "replace")


def check_mutations(examples: int, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(examples):
        raw = mutated(chance, chance.choice(SAMPLES))
        try:
            check(raw)
        except BaseException as error:
            error.add_note(f"example {number} of seed {seed}: {raw!r}")
            raise


def test_any_damage_to_the_syntax_is_read_or_reported() -> None:
    check_mutations(200, seed=5)


EXAMPLES, SEED = (
    int(os.environ.get("RUNNER_EXAMPLES", "20000")),
    int(os.environ.get("RUNNER_SEED", "1")),
)
"""Of the campaigns."""


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_campaign_any_damage_to_the_syntax_is_read_or_reported() -> None:
    check_mutations(EXAMPLES, SEED)


@pytest.mark.campaign
@pytest.mark.timeout(0)
@settings(max_examples=EXAMPLES, database=None)
@given(st.binary(max_size=2000) | st.text(alphabet=ASCII_SOUP, max_size=400).map(str.encode))
def test_campaign_any_bytes_are_read_or_reported(raw: bytes) -> None:
    check(raw)


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_random_damage_to_a_valid_file_is_read_or_reported() -> None:
    chance = random.Random(SEED)
    for _ in range(EXAMPLES):
        damaged = bytearray(VALID)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        check(bytes(damaged))


COVERED = """\
import sys
import atheris
with atheris.instrument_imports(include=["runner.requests", "runner.timing"]):
    from test_hostile_documents import check, warm_up
warm_up()
atheris.Setup(sys.argv, check)
atheris.Fuzz()
"""


def warm_up() -> None:
    """Build everything that is built once, schema and zones, before an example is timed."""
    for sample in SAMPLES:
        load(sample.encode())


@pytest.mark.campaign
@pytest.mark.timeout(0)
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed")
def test_inputs_found_by_coverage_are_read_or_reported(tmp_path: Path) -> None:
    """Fuzz with libFuzzer through atheris, which keeps each input that reaches new lines."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, sample in enumerate(SAMPLES):
        (corpus / f"{number}").write_text(sample)
    escaped = (
        "".join(f"\\x{byte:02x}" for byte in word.encode(errors="surrogatepass"))
        for word in FRAGMENTS
    )
    (tmp_path / "words").write_text("".join(f'"{word}"\n' for word in escaped))
    bounds = [
        f"-runs={EXAMPLES}",
        f"-seed={SEED}",
        "-max_len=4096",
        "-timeout=20",
        "-rss_limit_mb=1024",
    ]
    done = subprocess.run(
        [sys.executable, "-c", COVERED, *bounds, f"-dict={tmp_path / 'words'}", str(corpus)],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    print(done.stderr.splitlines()[-1])


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "{",
        "- ",
        "? ",
        "a: ",
        "[[],",
        "a: [",
        "{a: ",
        "*a ",
        "&a ",
        "!a ",
        '"\\n',
        "'",
        "#",
        " ",
        "\n",
        "---\n",
        "a: 1\n---\n",
        "- a\n",
        "a,",
        "? a\n",
        "|\n",
        "%a\n",
        "\\",
        "[a]: ",
        "é",
        "a\r",
    ],
)
def test_a_megabyte_of_anything_is_answered_quickly(piece: str) -> None:
    raw = (piece * LARGEST)[:LARGEST].encode()[:LARGEST]
    check(raw)
    for deeper in (b"process: [", b"process: {command: ["):
        check(deeper + raw[: LARGEST // 4])


def test_25_kilobytes_of_brackets_do_not_end_the_process() -> None:
    assert isinstance(documents_in(b"[" * 25_000, "a"), Problem)


def several(item: str, count: int = 20_000) -> str:
    return ", ".join(item.replace("#", str(number)) for number in range(count))


LONG = "x" * 1_000_000
HUGE = [
    f"process: {{shell: {LONG}}}\nowner: 5",
    f"process: {{shell: [{LONG}]}}",
    f"name: {LONG}\nprocess: {{shell: x}}",
    f"{LONG[:1000]}: 5",
    f'"{chr(92)}e[31m{LONG[:1000]}": 5',
    f"process: {{shell: x, timeout: {'9' * 1_000_000}}}",
    f"process: {{shell: x, stop_signal: {LONG}}}",
    f"process: {{shell: x, environment: {{{several('k#: #')}}}}}",
    f"{{{several('k#: #')}}}",
    f"process: {{shell: x}}\ntiming: {{schedule: {{frequency: daily, at: [{several('x')}]}}}}",
    f"process: {{shell: x}}\ntiming: {{schedule: {{frequency: daily, at: '02:00', except: "
    f"[{several('x')}]}}}}",
    f"process: {{success: {{exit_codes: [{several('{a: 1}', 4_000)}]}}, shell: x}}",
    f"process: {{group: {{members: [{several('{request: a}', 10_000)}]}}}}",
    f"[{several('&a 1')}]",
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("text", HUGE, ids=range(len(HUGE)))
def test_a_huge_value_has_a_short_message(text: str) -> None:
    assert check(text.encode()).problems


@pytest.mark.parametrize(
    "count", ["5.0", "1.5", ".inf", ".nan", "1e3", "true", "99999999999999999999", "0x10"]
)
def test_an_interval_must_be_a_whole_number(count: str) -> None:
    text = f"process: {{shell: x}}\ntiming: {{schedule: {{frequency: hourly, interval: {count}}}}}"
    assert [problem.path for problem in check(text.encode()).problems] == [
        "timing.schedule.interval"
    ]


def test_a_name_with_a_final_line_break_is_refused() -> None:
    assert [problem.path for problem in check(b'name: "a\\n"\nprocess: {shell: x}').problems] == [
        "name"
    ]


def read(folder: Path) -> Catalog:
    return CatalogReader(folder, default_zone="UTC").read()


def write(path: Path, text: str = "process: {shell: x}\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def messages(catalog: Catalog) -> dict[str, str]:
    return {problem.file.rpartition("/")[2]: problem.message for problem in catalog.problems}


def test_only_regular_files_are_opened_and_nothing_blocks(tmp_path: Path) -> None:
    write(tmp_path / "good.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "nothing.yaml").symlink_to("nowhere")
    (tmp_path / "circle.yaml").symlink_to("circle.yaml")
    (tmp_path / "null.yaml").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        home = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket is limited to about 100 bytes
        try:
            server.bind("socket.yaml")
        finally:
            os.chdir(home)
        catalog = read(tmp_path)
    assert list(catalog.requests) == ["good"]
    assert messages(catalog) == {
        "pipe.yaml": "it is a named pipe, not a file",
        "folder.yaml": "it is a folder, not a file",
        "socket.yaml": "it is a socket, not a file",
        "null.yaml": "it is a device, not a file",
        "nothing.yaml": "it is a broken link: no such file or directory",
        "circle.yaml": "it is a broken link: too many levels of symbolic links",
    }
    assert all(rejection.whole for rejection in catalog.rejections)


def test_a_pipe_that_takes_a_files_place_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_bounded(str(tmp_path / "pipe")) == Trouble(reason="it is a named pipe, not a file")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(1 << 40)
    write(tmp_path / "fits.yaml", "process: {shell: x}\n" + "#" * (LARGEST - 20))
    catalog = read(tmp_path)
    assert (list(catalog.requests), messages(catalog)) == (
        ["fits"],
        {"big.yaml": "it is larger than 1 MiB"},
    )


def test_a_file_name_with_control_characters_or_invalid_utf_8_is_reported(tmp_path: Path) -> None:
    write(tmp_path / "a\x1b[31m\nb.yaml")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml")).write_text("process: {shell: x}")
    catalog = read(tmp_path)
    assert not catalog.requests
    assert set(messages(catalog)) == {"a\\x1b[31m\\x0ab.yaml", "\\xff.yaml"}
    assert all(rejection.file.isprintable() for rejection in catalog.rejections)


def test_folders_that_link_to_each_other_are_walked_once(tmp_path: Path) -> None:
    for name in "abcdefghij":
        write(tmp_path / name / f"{name}.yaml")
    for name in "abcdefghij":
        for other in "abcdefghij":
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    (tmp_path / "up").symlink_to(tmp_path)
    assert sorted(read(tmp_path).requests) == list("abcdefghij")


def test_a_folder_with_too_many_entries_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.requests.catalog.folder.listing.MOST_ENTRIES", 20)
    for number in range(30):
        write(tmp_path / f"r{number}.yaml")
    catalog = CatalogReader(tmp_path, default_zone="UTC").read({"r99": "gone.yaml"})
    assert "more than 20 entries" in catalog.problems[0].message
    assert len(catalog.problems) == 1
    assert {rejection.file for rejection in catalog.rejections} == {"", "gone.yaml"}
