"""Environment files: read as systemd reads them, and as a shell does where the two agree."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import runner
from runner.execution.child.program import SpawnError
from runner.execution.environment_files import read
from runner.requests.files.environment_file import parse


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("\n \t\n# A=1\n  ; B=2\nC=3", {"C": "3"}),
        ("A=", {"A": ""}),
        ("A=\nB=x", {"A": "", "B": "x"}),
        ("A=''\nB=\"\"", {"A": "", "B": ""}),
        ("  A = x  \n", {"A": "x"}),
        ("export A=x\nexport\tB=y\nexport=z", {"A": "x", "B": "y", "export": "z"}),
        ("A=b c  d # e", {"A": "b c  d # e"}),
        ('A=it\'s "so"', {"A": 'it\'s "so"'}),
        ("A=$HOME `x` ${y}", {"A": "$HOME `x` ${y}"}),
        ("A=a=b==", {"A": "a=b=="}),
        ("A=a\\ \\\\\\n", {"A": "a \\n"}),
        ("A=a\\  \n", {"A": "a "}),
        ("A=a\\\\  \n", {"A": "a\\"}),
        ("A=a \\\n b\nC=d", {"A": "a  b", "C": "d"}),
        ("A='a \\n \"$b\"'  \nC=d", {"A": 'a \\n "$b"', "C": "d"}),
        ("A='a\nb'\nC=d", {"A": "a\nb", "C": "d"}),
        ('A="a\nb\\\nc \\"d\\" \\$e \\`f\\` \\\\ \\n"', {"A": 'a\nbc "d" $e `f` \\ \\n'}),
        ("A='a'\"b\" c'd'", {"A": "abc'd'"}),
        ("A=x\r\nB=' y'\r\n\r\n# z\r\nC=u\\\r\nv\r\n", {"A": "x", "B": " y", "C": "uv"}),
        ("A=é ü", {"A": "é ü"}),
    ],
)
def test_a_valid_file_is_parsed(text: str, variables: dict[str, str]) -> None:
    assert parse(text) == variables


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "A=1\nhunter2",
            "line 2: this line is not NAME=value; a value of several lines needs quotes",
        ),
        ("\n\nhunt+er2==", "line 3: the text before `=` is not a name"),
        ("hunt er2=x", "line 1: this line is not NAME=value"),
        ("2A=hunter2", "line 1: the text before `=` is not a name"),
        ("É=hunter2", "line 1: the text before `=` is not a name"),
        ("=hunter2", "line 1: this line is not NAME=value"),
        ("A='x\ny'\nB='hunter2", "line 3: the quote that is opened here is never closed"),
        ('A="hunter2\\"', "line 1: the quote that is opened here is never closed"),
        ("A=hunter2\0", "line 1: a variable cannot contain NUL"),
    ],
)
def test_an_error_names_its_line_without_its_content(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="line") as caught:
        parse(text)
    assert message in str(caught.value)
    assert "hunt" not in str(caught.value)


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


def single(value: str) -> str:
    return "'" + value.replace("'", "'\"'\"'") + "'"


def double(value: str) -> str:
    return '"' + "".join(f"\\{each}" if each in '"\\`$' else each for each in value) + '"'


@settings(max_examples=50)
@given(st.lists(st.tuples(names, values, st.sampled_from([single, double]))))
def test_every_value_can_be_written_in_either_quotes(
    lines: list[tuple[str, str, Callable[[str], str]]],
) -> None:
    text = "".join(f"{name}={quote(value)}\n" for name, value, quote in lines)
    assert parse(text) == {name: value for name, value, _ in lines}


@settings(max_examples=100)
@given(st.text("AB=='\"\\ \n\t#x;\r", max_size=30))
def test_any_text_is_parsed_or_refused_with_a_message(text: str) -> None:
    try:
        assert all(name for name in parse(text))
    except ValueError as error:
        assert str(error).startswith("line ")


SHELL_TOO = r"""
# what a shell and systemd read alike
PLAIN=a-b_c.d/e:f,g
ESCAPED=a\ b\\c\"d\'e\$f
JOINED=ab\
cd
SINGLE='a  "b" \ $HOME
second line'
DOUBLE="a  'b' \\ \$HOME \` \" \x
second line, join\
ed"
ADJACENT='a'"b"'c'
EMPTY=
export EXPORTED=yes
PLAIN_AGAIN=1
PLAIN_AGAIN=2
"""


def test_a_shell_reads_the_same_where_systemd_reads_like_a_shell(tmp_path: Path) -> None:
    file = tmp_path / "some.env"
    file.write_text(SHELL_TOO)
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    run = ["/bin/sh", "-ac", f'. "{file}"; exec "{sys.executable}" -Ic "{show}"']
    seen = json.loads(
        subprocess.run(run, env={}, capture_output=True, check=True, text=True).stdout
    )
    variables = read(str(file))
    assert len(variables) == 9
    assert {name: seen[name] for name in variables} == variables


def test_a_megabyte_is_parsed_quickly() -> None:
    begun = time.process_time()
    for text in (
        "A=" + "x y " * 100_000,
        'A="' + "\\x " * 100_000 + '"',
        "# x\n" * 50_000,
        "A=" + " " * 900_000,
    ):
        parse(text)
    assert time.process_time() - begun < 30, (
        "what looks at each of so many characters again and again takes hours"
    )


def refusal(path: Path) -> str:
    with pytest.raises(SpawnError) as caught:
        read(str(path))
    assert "hunter2" not in str(caught.value)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_an_unreadable_file_is_refused_without_blocking(tmp_path: Path) -> None:
    file = tmp_path / "a.env"
    assert refusal(file) == "environment file 'a.env': it cannot be read: no such file or directory"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "environment file 'pipe': it is a named pipe, not a file"
    device = Path("/dev/zero")
    if os.geteuid() == 0:  # root refuses a world-writable file before it reads it
        assert "everyone may write zero" in refusal(device)
        device = tmp_path / "zero"
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    assert refusal(device) == "environment file 'zero': it is a device, not a file"
    file.write_bytes(b"A=1\nB=hunter2\xff\n")
    assert refusal(file) == "environment file 'a.env', line 2: this is not UTF-8"
    file.write_text("A=1\nhunter2\n")
    assert refusal(file).startswith("environment file 'a.env', line 2: this line is not NAME=value")
    file.write_text("A=hunter2\n" * 110_000)
    assert "larger than 1 MiB" in refusal(file)


def test_a_byte_order_mark_is_not_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_bytes(b"\xef\xbb\xbfA=1\n")
    assert read(str(tmp_path / "a.env")) == {"A": "1"}


def test_no_regular_expression_repeats_a_group_possessively() -> None:
    """Python before 3.11.5 matches such a group wrongly (CPython issue 106052)."""
    possessive = re.compile(r"\)(?:[*+?]|\{[\d,]+\})\+|\(\?>")
    found = [
        f"{path}: {line.strip()}"
        for path in Path(str(runner.__file__)).parent.rglob("*.py")
        for line in path.read_text().splitlines()
        if "re.compile" in line and possessive.search(line)
    ]
    assert not found
