"""Python callables, each in its own process."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.process_world import PATH, World

from runner.execution.trees.watched import Exit

_MODULE = textwrap.dedent("""
    import asyncio, os, sys

    constant = 7

    def nothing(): print("done")
    def rows(): return {"rows": 3, "name": "ñ"}
    def two(first, second=2): return [first, second]
    def named(*, first): return first
    def everything(first, **others): return sorted(others)
    def only_positional(first, /): return first
    def fails(first=None):
        print("before")
        raise ValueError(f"no {first}")
    def large(): return "x" * 100_000
    def silly():
        class Silly:
            def __repr__(self): raise RuntimeError("no")
        return Silly()
    def leaves(): sys.exit(3)
    def leaves_with_words(): sys.exit("that was all")
    async def later(first):
        await asyncio.sleep(0)
        return first
    async def later_fails(): await fails_inside()
    async def fails_inside(): raise KeyError("gone")
    def imports(): import not_there_at_all
    def place(): return [os.getcwd(), sys.path[0], sys.argv]
    def shuts(): os.closerange(3, 100)
    def leaks(): print(os.environ["TOKEN"]); raise RuntimeError("token is " + os.environ["TOKEN"])
    def leaks_at_the_border(): return "x" * (8192 - len("returned 'hun")) + "hunter2"
    class Report:
        def __call__(self, first): return f"called with {first}"
        @staticmethod
        def daily(): return "daily"
    report = Report()
""")


class Calling:
    def __init__(self, world: World) -> None:
        self.world = world
        (world.folder / "site").mkdir()
        (world.folder / "site" / "reports.py").write_text(_MODULE)

    def begin(
        self, target: str, params: object = None, *, secrets: frozenset[str] = frozenset()
    ) -> str:
        environment = {"PATH": PATH, "TOKEN": "hunter2"}
        if params is not None:
            environment["RUNNER_PARAMS"] = json.dumps(params)
        directory = self.world.folder / "site"
        return self.world.spawn(
            target, is_callable=True, directory=directory, environment=environment, secrets=secrets
        )

    def end(self, name: str) -> tuple[Exit, str]:
        return self.world.exit(name), self.world.output(name)


@pytest.fixture
def calling(tmp_path: Path) -> Iterator[Calling]:
    world = World(tmp_path)
    yield Calling(world)
    world.close()


def test_the_returned_value_or_the_exception_is_the_result(calling: Calling) -> None:
    """The cases run at once, because each is a process."""
    site = calling.world.folder / "site"
    cases: list[tuple[str, object, int, str | None]] = [
        ("reports:nothing", None, 0, None),
        ("reports:rows", {}, 0, "returned {'rows': 3, 'name': 'ñ'}"),
        ("reports:two", {"first": 1, "unasked": 3}, 0, "returned [1, 2]"),
        (
            "reports:two",
            {"second": 1},
            1,
            "reports:two needs 'first', which `params` does not contain",
        ),
        ("reports:named", {"first": True}, 0, "returned True"),
        ("reports:everything", {"first": 1, "a": 2, "b": 3}, 0, "returned ['a', 'b']"),
        (
            "reports:only_positional",
            {"first": 1},
            1,
            "reports:only_positional needs 'first', which `params` does not",
        ),
        ("reports:fails", {"first": "luck"}, 1, "ValueError: no luck"),
        ("reports:leaves", None, 3, None),
        ("reports:leaves_with_words", None, 1, None),
        ("reports:later", {"first": 5}, 0, "returned 5"),
        ("reports:later_fails", None, 1, "KeyError: 'gone'"),
        ("reports:imports", None, 1, "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("reports:place", None, 0, f"returned {[str(site), str(site), ['reports:place']]}"),
        ("reports:shuts", None, 0, None),
        (
            "reports:silly",
            None,
            0,
            "returned a silly.<locals>.Silly that cannot be shown (RuntimeError: no)",
        ),
        ("reports:report", {"first": 1}, 0, "returned 'called with 1'"),
        ("reports:Report.daily", None, 0, "returned 'daily'"),
        ("reports:constant", None, 1, "reports:constant is not a function but int"),
        ("reports:absent", None, 1, "module 'reports' has no 'absent'"),
        (
            "absent.inner:main",
            None,
            1,
            f"there is no module 'absent', neither in {site} nor in Python's path",
        ),
        ("reports.inner:main", None, 1, "there is no module 'reports.inner'"),
    ]
    for some in (cases[at : at + 6] for at in range(0, len(cases), 6)):
        names = [calling.begin(target, params) for target, params, _, _ in some]
        for name, (target, _, code, result) in zip(names, some, strict=True):
            ended, output = calling.end(name)
            assert (ended.exit_code, ended.signal, ended.failure) == (code, None, None), (
                target,
                output,
            )
            reported = str(ended.result)
            assert ended.result is None if result is None else reported.startswith(result), (
                target,
                reported,
            )


def test_the_traceback_follows_the_output_and_begins_with_the_callable(
    calling: Calling,
) -> None:
    names = [
        calling.begin(f"reports:{function}")
        for function in ("fails", "later_fails", "absent", "leaves_with_words")
    ]
    (_, raised), (_, awaited), (_, refused), (_, left) = map(calling.end, names)
    place = f'  File "{calling.world.folder / "site" / "reports.py"}", line '
    assert raised.startswith(f"before\nTraceback (most recent call last):\n{place}")
    assert raised.endswith("ValueError: no None\n")
    assert raised.count("  File ") == 1
    assert (awaited.count("  File "), awaited.count(place)) == (2, 2)
    assert refused == "module 'reports' has no 'absent'\n"
    assert left == "that was all\n"


def test_a_result_is_short_and_shows_no_secret(calling: Calling) -> None:
    functions = ("large", "leaks", "leaks_at_the_border")
    names = [calling.begin(f"reports:{name}", secrets=frozenset({"hunter2"})) for name in functions]
    (large, _), (leaks, output), (border, _) = map(calling.end, names)
    assert str(large.result).startswith("returned 'xxx")
    assert len(str(large.result).encode()) == 1024
    assert leaks.result == "RuntimeError: token is ***"
    assert "hunter2" not in output
    assert output.startswith("***\nTraceback")
    assert "hun" not in str(border.result)


def test_output_is_live_and_the_stop_signal_arrives(calling: Calling) -> None:
    (calling.world.folder / "site" / "slow.py").write_text(
        "def main():\n  import time\n  print(1)\n  time.sleep(60)\n"
    )
    name = calling.begin("slow:main")
    calling.world.reported(name)
    calling.world.stop(name)
    assert calling.end(name)[0].exit_code is None


def test_a_syntax_error_is_reported_with_its_place(calling: Calling) -> None:
    (calling.world.folder / "site" / "broken.py").write_text("def main(:\n")
    ended, output = calling.end(calling.begin("broken:main"))
    assert (ended.exit_code, str(ended.result)[:12]) == (1, "SyntaxError:")
    assert 'broken.py", line 1' in output
    assert "importlib" not in output
