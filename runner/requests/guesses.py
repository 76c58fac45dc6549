"""What was probably meant by something that is not right. Only ever suggested, never acted upon. Pure."""

from __future__ import annotations

import re
import shlex
import signal
from datetime import timedelta
from typing import TYPE_CHECKING

import yaml

from runner.values import duration_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_LONGEST = 200
_BOOLEANS = {"yes": True, "y": True, "on": True, "true": True, "no": False, "n": False, "off": False, "false": False}
_UNITS = {
    word: milliseconds
    for milliseconds, words in (
        (1, "ms msec msecs millis millisecond milliseconds"),
        (1000, "s sec secs second seconds"),
        (60_000, "m min mins minute minutes"),
        (3_600_000, "h hr hrs hour hours"),
        (86_400_000, "d day days"),
        (604_800_000, "w wk wks week weeks"),
    )
    for word in words.split()
}
_AMOUNT = r"(\d{1,6}(?:\.\d{1,3})?)\s*([a-z]+)[\s,]*"
_CRON = r"@[a-z]+|([\d*/,?L#-][\d*/,?LW#a-z-]*\s+){2,}[\d*/,?LW#a-zA-Z-]+(\s+\S+){0,4}"

ALIASES: Mapping[str, str] = {
    alias: target
    for target, aliases in {
        "name": "id title",
        "description": "desc summary comment notes",
        "owner": "maintainer contact author team",
        "labels": "tags annotations",
        "scheduled": "enabled active",
        "on_failure": "onerror onfail notify alert notification notifications",
        "process.command": "cmd args argv arguments exec program entrypoint",
        "process.shell": "run script bash sh commandline",
        "process.python": "function func callable",
        "process.group": "steps stages members",
        "process.directory": "cwd workdir workingdir workingdirectory dir chdir folder",
        "process.environment": "env envs environ vars variables",
        "process.environment_file": "envfile dotenv envfrom",
        "process.run_as": "user username uid runasuser",
        "process.timeout": "maxruntime maxduration executiontimeout activedeadlineseconds timelimit",
        "process.prevent_concurrent": "concurrency concurrencypolicy singleton lock maxinstances",
        "process.retry": "retries maxretries attempts backofflimit",
        "process.limits": "memory cpu resources",
        "timing": "when trigger triggers on timer",
        "timing.run_immediately": "now immediately immediate",
        "timing.run_later": "once runat date datetime",
        "timing.schedule.expression": "cron crontab cronexpression",
        "timing.schedule.interval": "every period repeat",
        "timing.schedule.at": "time times hour timeofday",
        "timing.schedule.timezone": "tz zone",
        "timing.schedule.days": "weekday weekdays dayofweek dow",
        "timing.schedule.day": "dayofmonth dom monthday",
        "timing.schedule.start": "since from begin startdate starttime",
        "timing.schedule.finish": "until end enddate endtime",
        "timing.schedule.repetitions": "count repeatcount maxruns",
        "timing.schedule.except": "exclude holidays blackout excludedates",
        "timing.schedule.spread": "jitter splay randomdelay randomizeddelaysec",
        "timing.schedule.misfire": "misfirepolicy catchup coalesce persistent",
        "timing.schedule.misfire_grace": "gracetime misfiregracetime startingdeadlineseconds",
    }.items()
    for alias in aliases.split()
}
"""What other programs call our keys, without case, `_` and `-`."""


def flow(value: object) -> str:
    """Write a value as YAML on one line.

    >>> flow({"frequency": "cron", "expression": "*/5 * * * *"})
    "{frequency: cron, expression: '*/5 * * * *'}"
    """
    text = yaml.safe_dump(value, default_flow_style=True, width=1_000_000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("...\n").strip()


def write(value: object) -> str | None:
    """Suggest a value, if it is short enough to be read."""
    text = flow(value)
    return f"write {text}" if len(text) <= _LONGEST and text.isprintable() else None


def is_cron(text: str) -> bool:
    """Tell whether a text looks like a cron expression.

    >>> is_cron("*/5 * * * *"), is_cron("@daily"), is_cron("run this now please")
    (True, True, False)
    """
    return len(text) <= _LONGEST and re.fullmatch(_CRON, text.strip()) is not None


def boolean(text: str) -> str | None:
    """Suggest what YAML 1.1 would have read, or what is only quoted too much.

    >>> boolean("yes"), boolean("False")
    ('write true', 'write false, without quotes')
    """
    meant = _BOOLEANS.get(text.lower())
    if meant is None:
        return None
    return f"write {str(meant).lower()}" + (", without quotes" if text.lower() in {"true", "false"} else "")


def integer(text: str) -> str | None:
    """Suggest the number of a text.

    >>> integer("5"), integer("5m")
    ('write 5, without quotes', 'write 5')
    """
    match = re.fullmatch(r"(\d{1,9})(\s*[a-z]*)", text, re.ASCII)
    if match is None:
        return None
    return f"write {match[1]}" if match[2] else f"write {match[1]}, without quotes"


def duration(text: str) -> str | None:
    """Suggest a duration as it is written here.

    >>> [duration(text) for text in ("30 minutes", "1.5h", "30m1h", "PT30M", "-5m", "2 moons")]
    ['write 30m', 'write 1h30m', 'write 1h30m', 'write 30m', 'write 5m', None]
    """
    plain = re.sub(r"^[+-]?(pt|p)?", "", text[:80].strip().lower())
    amounts = re.findall(_AMOUNT, plain, re.ASCII)
    if not re.fullmatch(f"({_AMOUNT})+", plain, re.ASCII) or any(unit not in _UNITS for _, unit in amounts):
        return None
    total = sum(float(amount) * _UNITS[unit] for amount, unit in amounts)
    return f"write {duration_text(timedelta(milliseconds=round(total)))}"


def signal_name(number: int) -> str | None:
    """Suggest the name of a signal.

    >>> signal_name(9)
    'write KILL'
    """
    names = {each.value: each.name.removeprefix("SIG") for each in signal.Signals}
    return f"write {names[number]}" if number in names else None


def command(text: str) -> str | None:
    """Suggest how to write a command line: as a list, or where it needs a shell, as `shell`.

    >>> command("python3 post.py --all"), command("a | b")
    ('write it as a list: [python3, post.py, --all]', 'write shell: a | b')
    """
    if len(text) > _LONGEST or not text.isprintable():
        return None
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words or re.search(r"[|&;<>$`*?~(){}]", text):
        return f"write {flow({'shell': text})[1:-1]}"
    return f"write it as a list: {flow(words)}"


def mapping(text: str, schema: Mapping[str, Any]) -> str | None:
    """Suggest the mapping that a text could stand for: a key whose `:` or blank is missing, or its most needed value.

    >>> mapping("shell x", {"properties": {"shell": {}}})
    'write shell: x'
    """
    if len(text) > _LONGEST or not text.isprintable():
        return None
    properties = schema.get("properties", {})
    match = re.fullmatch(r"(\w+)\s*(?::|\s)\s*(\S.*)", text)
    if match and match[1] in properties:
        return f"write {flow({match[1]: match[2]})[1:-1]}"
    if "expression" in properties and is_cron(text):
        return write({"frequency": "cron", "expression": text})
    for key in schema.get("required", ()):
        own = properties.get(key, {})
        if text in own.get("enum", ()) or re.search(own.get("pattern", "(?!)"), text):
            return write({key: text})
    return write({"shell": text}) if "shell" in properties else None


def unlisted(items: list[object]) -> str | None:
    """Suggest the mapping that a list could stand for.

    >>> unlisted([{"shell": "x"}]), unlisted(["PORT=8080"])
    ('leave out the `-`', "write {PORT: '8080'}")
    """
    if len(items) == 1 and isinstance(items[0], dict):
        return "leave out the `-`"
    pairs = [item.partition("=") for item in items[:20] if isinstance(item, str) and "=" in item]
    return write({name: value for name, _, value in pairs}) if pairs and len(pairs) == len(items) else None


def timing(text: str, frequencies: list[str]) -> str | None:
    """Suggest the timing that a text could stand for.

    >>> timing("daily", ["daily"])
    "write {schedule: {frequency: daily, at: '02:00'}}"
    """
    if is_cron(text):
        return write({"schedule": {"frequency": "cron", "expression": text}})
    if text in frequencies and text != "cron":
        clock = {} if text in {"secondly", "minutely", "hourly"} else {"at": "02:00"}
        return write({"schedule": {"frequency": text, **clock}})
    return None
