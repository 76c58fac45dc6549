"""The reference tables of the documentation, generated from the schemas, the command line
and the wording of rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click
import yaml
from support import misbehaving
from support.notices import NOON, SETTING, change, news, recovery
from support.transitions import table

from runner.cli.command_table import COMMANDS
from runner.cli.group import cli
from runner.lifecycle import Check
from runner.notifying.message import composed, in_order
from runner.notifying.notice import Notice
from runner.resources import schema_text
from runner.timing.parsing import parse_rule
from runner.timing.rule_wording import describe

Schema = dict[str, Any]
REQUEST: Schema = json.loads(schema_text("process-request"))
RECORD: Schema = json.loads(schema_text("monitor-record"))
SETTINGS: Schema = json.loads(schema_text("runner"))
PROCESS: Schema = REQUEST["properties"]["process"]
TIMING: Schema = REQUEST["properties"]["timing"]["else"]
ZONE = "UTC"
_EXAMPLE = re.compile(r"\| `(\{.*\})` \|")
_SHARED_OPTIONS = {"jobs", "state", "store_file", "monitor_log", "timezone"}


def generated(name: str, present: str) -> str:
    """Return the content of the generated block `name`; `present` is its current content."""
    return "".join(f"{line}\n" for line in _BLOCKS[name](present))


def _keys(schema: Schema) -> Iterator[str]:
    """Yield a table of the keys of a mapping, including nested mappings."""
    yield from ("| key | means | default | example |", "|---|---|---|---|")
    yield from _rows(schema, above="")


def _rows(schema: Schema, above: str) -> Iterator[str]:
    for key, value in schema["properties"].items():
        name = f"{above}{key}"
        yield _row(
            f"`{name}`", _meaning(value), _code(value.get("default")), _code(value["examples"][0])
        )
        if key == "process":
            continue
        parts = {name: value, f"{name}[]": value.get("items")}
        parts[f"{name}.NAME"] = value.get("additionalProperties")
        for place, part in parts.items():
            if isinstance(part, dict) and "properties" in part:
                yield from _rows(part, f"{place}.")


def _meaning(schema: Schema) -> str:
    return f"{schema['description']}{_choices(schema)}"


def _choices(schema: Schema) -> str:
    names = [name for name in schema.get("enum", ()) if name is not None]
    reported = all(f"`{name}`" in schema["description"] for name in names)
    return "" if reported else f" One of {_listed(names)}."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _code(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and "\n" in value:
        return f"`{json.dumps(value)}`"
    # Inside a list, because a plain text alone would end with a document marker.
    text = yaml.safe_dump(
        [value], default_flow_style=True, width=1000, sort_keys=False, allow_unicode=True
    )
    return f"`{text.strip()[1:-1]}`"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _examples(present: str) -> Iterator[str]:
    """Keep the schedules of the current block, and describe each of them."""
    yield from ("| `schedule:` | means |", "|---|---|")
    for schedule in _EXAMPLE.findall(present):
        # BaseLoader keeps times as texts, as a request does.
        data = yaml.load(schedule, yaml.BaseLoader)
        yield _row(f"`{schedule}`", _words(data))


def _words(data: dict[str, Any]) -> str:
    data = {key: int(value) if str(value).isdigit() else value for key, value in data.items()}
    return describe(parse_rule(data, default_zone=ZONE)).removesuffix(f" ({ZONE})")


def _record(_present: str) -> Iterator[str]:
    yield from ("| field | in | means |", "|---|---|---|")
    for field, schema in RECORD["properties"].items():
        yield _row(f"`{field}`", _events_with(field), f"{schema['description']}{_choices(schema)}")


def _events_with(field: str) -> str:
    """Return the events with a field: "all", families (`runner.*`), or single names."""
    every = RECORD["properties"]["event"]["enum"]
    having = {
        event
        for rule in RECORD["allOf"]
        if field in rule["then"]["required"]
        for event in _events_of(rule)
    }
    if having == set(every):
        return "all"
    names: list[str] = []
    for family in dict.fromkeys(event.partition(".")[0] for event in every):
        members = [event for event in every if event.startswith(f"{family}.")]
        found = [event for event in members if event in having]
        names += [f"{family}.*"] if found == members else found
    return _listed(names)


def _events_of(rule: Schema) -> list[str]:
    event = rule["if"]["properties"]["event"]
    return event["enum"] if "enum" in event else [event["const"]]


def _commands(_present: str) -> Iterator[str]:
    yield from ("| command | its own options |", "|---|---|")
    context = click.Context(cli, **cli.context_settings)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        arguments = [
            piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"
        ]
        yield _row(f"`{' '.join([name, *arguments])}`", _listed(_own_options(command)))


def _own_options(command: click.Command) -> Iterator[str]:
    for option in command.params:
        if isinstance(option, click.Option) and option.name not in _SHARED_OPTIONS:
            yield " ".join(sorted(option.opts))


def _message(notices: list[Notice]) -> Iterator[str]:
    """Yield a message as a receiver gets it."""
    message = composed("id", in_order(notices), NOON, SETTING)
    yield from ("```text", f"Subject: {message.subject}", "")
    yield from message.text.splitlines()
    yield "```"


def _group() -> list[Notice]:
    late = change(request="warehouse", check=Check.LATE, message="not finished within 45m")
    return [news(change()), news(late), recovery(change(request="backup"))]


_BLOCKS: dict[str, Callable[[str], Iterable[str]]] = {
    "request": lambda _: _keys(REQUEST),
    "process": lambda _: _keys(PROCESS),
    "settings": lambda _: _keys(SETTINGS),
    "run_later": lambda _: _keys(TIMING["properties"]["run_later"]),
    "schedule": lambda _: _keys(TIMING["properties"]["schedule"]),
    "examples": _examples,
    "transitions": lambda _: table(),
    "record": _record,
    "failure_message": lambda _: _message([news(change(count=3))]),
    "recovery_message": lambda _: _message([recovery(change())]),
    "group_message": lambda _: _message(_group()),
    "misbehaving": lambda _: misbehaving.table(),
    "commands": _commands,
}
