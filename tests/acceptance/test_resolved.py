"""`show --resolved`: all settings of a request, each with its origin."""

from __future__ import annotations

from support.place import Place

DEFAULTS = """\
owner: ops
labels: {tier: gold, team: none}
process:
  directory: ./work
  run_as: {user: erp}
timing: {timezone: Europe/Madrid}
"""
GROUP = """\
process: {shell: echo}
---
name: nightly
labels: {team: finance}
process:
  timeout: 1h
  group:
    members:
      - name: post
        shell: x
timing: {schedule: {frequency: daily, at: "02:00"}}
"""


def test_each_setting_is_shown_with_its_origin(place: Place) -> None:
    place.write("_defaults.yaml", DEFAULTS)
    place.write("team/_defaults.yaml", "# nearer\nowner: finance\n")
    place.write(
        "team/all.yaml",
        GROUP.replace("process: {shell: echo}", "name: other\nprocess: {shell: echo}", 1),
    )
    far, near, own = (
        f"{place.jobs}/{name}"
        for name in ("_defaults.yaml", "team/_defaults.yaml", "team/all.yaml")
    )
    items = place.items("show", "nightly", "--resolved")
    assert {item["path"]: (item["value"], item["origin"]) for item in items} == {
        "name": ("nightly", f"{own}:4"),
        "owner": ("finance", f"{near}:2"),
        "labels.tier": ("gold", f"{far}:2"),
        "labels.team": ("finance", f"{own}:5"),
        "scheduled": (True, "default"),
        "process.name": ("nightly", "default"),
        "process.directory": (f"{place.jobs}/work", f"{far}:4"),
        "process.timeout": ("1h", f"{own}:7"),
        "process.group.members[0].name": ("post", f"{own}:10"),
        "process.group.members[0].shell": ("x", f"{own}:11"),
        "process.group.members[0].run_as.user": ("erp", f"{far}:5"),
        "process.group.stop_on_failure": (False, "default"),
        "process.stop_grace": ("10s", "default"),
        "process.prevent_concurrent": (False, "default"),
        "process.if_interrupted": ("record", "default"),
        "process.queue": ("default", "default"),
        "retention.keep_for": ("30d", "default"),
        "timing.schedule.frequency": ("daily", f"{own}:12"),
        "timing.schedule.interval": (1, "default"),
        "timing.schedule.at": ("02:00", f"{own}:12"),
        "timing.schedule.timezone": ("Europe/Madrid", f"{far}:6"),
        "timing.schedule.misfire": ("skip", "default"),
        "timing.schedule.misfire_grace": ("60s", "default"),
        "timing.schedule.shift": ("drop", "default"),
    }
    assert (items[0]["request"], items[0]["file"], items[0]["line"]) == ("nightly", own, 4)
    text = place.run("show", "other", "--resolved").stdout
    assert [line.split() for line in text.splitlines()][:3] == [
        ["SETTING", "VALUE", "ORIGIN"],
        ["name", "other", f"{own}:1"],
        ["owner", "finance", f"{near}:2"],
    ]
    place.write("_defaults.yaml", "owner: [\n")
    refused = place.run("show", "nightly", "--resolved")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "nightly" in refused.stderr
