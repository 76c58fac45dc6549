"""One job of yacron or cronstable as a request. Pure."""

from __future__ import annotations

from typing import Any

from runner.importing.cron_dialects import PARSE_CRONTAB
from runner.importing.imported import Data, Draft, ImportSettings
from runner.importing.scheduling import NO_REBOOT, cron_timing, seconds_text
from runner.importing.yaml_source import Keys

_OBJECT = ("minute", "hour", "dayOfMonth", "month", "dayOfWeek")
_DEFAULT_SHELL = "/bin/sh"
_KILL_TIMEOUT = 30  # seconds between TERM and KILL, yacron's default
_ON_MISSED = {"run-once": "fire_once", "run-all": "fire_all"}
# Keys about captured output, which Runner always keeps.
_KEPT_ANYWAY = (
    "captureStdout",
    "saveLimit",
    "maxLineLength",
    "streamPrefix",
    "archiveOutput",
    "redactArchivedSecrets",
)
# Keys whose loss changes neither what runs nor when.
_BESIDE = {
    "statsd": "no metrics are sent; the monitor log has each start, end, status and duration",
    "sla": "nothing watches for lateness; each record says how late it was",
    "onLate": "nothing is reported when it is late",
    "clusterPolicy": "one runner runs it; there is no cluster",
    "catchupJitterSeconds": "catch-up runs are not spread over time",
    "monitorResources": (
        "every record has processor time and peak memory, without a series of samples"
    ),
}
# Keys that change what runs or when, and have no counterpart.
_ABSENT = ("onlyIfLastSucceeded", "secrets", "stateAllowedScopes")
_REPORTS = ("onFailure", "onPermanentFailure", "onSuccess")


def _merged(defaults: Any, own: Any) -> Any:
    """Merge a job's keys over the defaults, mapping by mapping."""
    if isinstance(defaults, dict) and isinstance(own, dict):
        return {
            key: _merged(defaults.get(key), own.get(key, defaults.get(key)))
            for key in {**defaults, **own}
        }
    return own


class Job:
    """Converts one job to a request."""

    def __init__(
        self, job: Keys, defaults: Keys, settings: ImportSettings, *, has_includes: bool
    ) -> None:
        name = job.text("name") or ""
        self.draft = Draft(line=job.line(), excerpt=f"job {name}", wanted_name=name)
        self._settings = settings
        data = _merged(
            {key: value for key, value in defaults.data.items() if key != "environment"}, job.data
        )
        self._keys = Keys(data=data, draft=self.draft)
        self._keys.ignore("name", "environment", *_KEPT_ANYWAY)
        self._environment(defaults, job)
        self._action()
        self._timing()
        self._success()
        self._retry()
        self._stopping()
        self._concurrency()
        self._who()
        self._beside()
        if has_includes:
            self.draft.changed(
                "`include` was not read and may contain defaults for it",
                "copy them into the file and import it again",
            )
        self._keys.report_unused()

    def _environment(self, defaults: Keys, job: Keys) -> None:
        found = {}
        for keys in (defaults, job):
            for variable in keys.mappings("environment"):
                found[variable.spelled("key")] = variable.spelled("value")
                for _, key in variable.left():
                    self.draft.changed(f"`environment` has an unknown key {key}")
        if found:
            self.draft.process["environment"] = found
        if path := self._keys.text("env_file"):
            self.draft.process["environment_file"] = path
            self.draft.differs(
                f"Runner removes quotes in {path}, as systemd does; yacron may keep them"
            )
            if not path.startswith("/"):
                message = (
                    f"env_file {path} is relative to yacron's own folder;"
                    " here to the folder of the request's file"
                )
                self.draft.changed(message, "write the right path")

    def _action(self) -> None:
        shell, command = self._keys.text("shell") or _DEFAULT_SHELL, self._keys.raw("command")
        match command:
            case str() if command and shell == _DEFAULT_SHELL:
                self.draft.process["shell"] = command
            case str() if command:
                self.draft.process["command"] = [shell, "-c", command]
            case [_, *_]:
                self.draft.process["command"] = [
                    part if isinstance(part, str) else str(part) for part in command
                ]
            case _:
                self.draft.process["command"] = ["false"]
                self.draft.changed("it has no command", "write one")

    def _timing(self) -> None:
        zone = self._keys.text("timezone")
        is_utc = self._keys.truth("utc", default=True)
        text = self._expression(self._keys.raw("schedule"))
        if text is None:
            return
        if text.strip() == "@reboot":
            self.draft.changed(*NO_REBOOT)
            self.draft.data["timing"] = "run_immediately"
            return
        if not zone and not is_utc:
            self.draft.note("its times are local (utc: false); here they are in the runner's zone")
        zone = zone or ("UTC" if is_utc else None)
        if timing := cron_timing(self.draft, text, PARSE_CRONTAB, self._settings, zone=zone):
            timing["schedule"] |= self._misfire()
            self.draft.data["timing"] = timing

    def _expression(self, schedule: object) -> str | None:
        match schedule:
            case str() if schedule.strip():
                return schedule
            case dict():
                return self._object(Keys(data=schedule, draft=self.draft))
        self.draft.changed("it has no schedule", "write a `timing`")
        return None

    def _object(self, schedule: Keys) -> str:
        """Write an object as an expression; an absent field is `*`, even the minute."""
        parts = [schedule.text(key) or "*" for key in _OBJECT]
        second, year = schedule.text("second"), schedule.text("year")
        for _, key in schedule.left():
            self.draft.changed(f"`schedule` has an unknown key {key}")
        if year:
            self.draft.note(
                "its year becomes `start` and `finish`; some versions of yacron ignore it"
            )
        if second or year:
            parts.append(year or "*")
        return " ".join([second, *parts] if second else parts)

    def _misfire(self) -> Data:
        deadline, policy = (
            self._keys.number("startingDeadlineSeconds"),
            self._keys.text("onMissed") or "skip",
        )
        if policy == "skip":
            return {}
        if policy not in _ON_MISSED:
            self.draft.changed(f"there is no onMissed {policy}")
            return {}
        if not deadline:
            return {"misfire": _ON_MISSED[policy]}
        if policy == "run-all":
            self.draft.changed(
                "yacron runs every run missed within startingDeadlineSeconds; Runner runs only one"
            )
        return {"misfire_grace": seconds_text(deadline)}

    def _success(self) -> None:
        fails = self._keys.mapping("failsWhen")
        captures = self._keys.truth("captureStderr", default=True)
        success: Data = {}
        if not fails.truth("nonzeroReturn", default=True):
            success["exit_codes"] = list(range(256))  # every code that a process can return
            self.draft.note("every exit code is a success (nonzeroReturn: false)")
        if fails.truth("producesStderr", default=True) and captures:
            success["fail_on_stderr"] = True
        if success:
            self.draft.process["success"] = success
        for key in ("producesStdout", "always"):
            if fails.truth(key, default=False):
                self.draft.changed(f"failsWhen.{key} has no counterpart")

    def _retry(self) -> None:
        retry = self._keys.mapping("onFailure").mapping("retry")
        retries = retry.number("maximumRetries") or 0
        delay, longest = retry.number("initialDelay"), retry.number("maximumDelay")
        backoff = retry.number("backoffMultiplier")
        backoff = 2 if backoff is None else backoff
        if retries == 0:
            return
        if retries < 0 or backoff < 1:
            what = "without end" if retries < 0 else "after ever shorter delays"
            self.draft.changed(f"yacron retries it {what}; Runner cannot", "write a `retry`")
            return
        self.draft.process["retry"] = {
            "attempts": int(retries) + 1,
            "delay": seconds_text(1 if delay is None else delay),
            "backoff": backoff,
            "max_delay": seconds_text(300 if longest is None else longest),
        }
        self.draft.differs(
            "in yacron a new fire ends the retries of the previous one; here they continue"
        )

    def _stopping(self) -> None:
        timeout, grace = self._keys.number("executionTimeout"), self._keys.number("killTimeout")
        if timeout:
            self.draft.process["timeout"] = seconds_text(timeout)
        self.draft.process["stop_grace"] = seconds_text(_KILL_TIMEOUT if grace is None else grace)

    def _concurrency(self) -> None:
        match self._keys.text("concurrencyPolicy"):
            case None | "Allow":
                pass
            case "Forbid":
                self.draft.process["prevent_concurrent"] = True
            case "Replace":
                self.draft.process |= {"prevent_concurrent": True, "on_overlap": "replace"}
            case other:
                self.draft.changed(f"there is no concurrencyPolicy {other}")
        if self._keys.text("concurrencyScope") == "cluster":
            self.draft.changed(
                "concurrencyPolicy applied to all nodes of a cluster; here it applies to one runner"
            )

    def _who(self) -> None:
        user, group = self._keys.text("user"), self._keys.text("group")
        if user:
            self.draft.process["run_as"] = {"user": user} | ({"group": group} if group else {})
        elif group:
            self.draft.changed(
                f"it runs with the group {group} and no user", "write `run_as` with both"
            )
        if any(name and name.isdigit() for name in (user, group)):
            self.draft.changed(
                "`run_as` takes names, not numbers", "write the names of the user and the group"
            )
        if not self._keys.truth("enabled", default=True):
            self.draft.data["scheduled"] = False
            self.draft.note("it is not enabled")

    def _beside(self) -> None:
        for key in _REPORTS:
            if self._keys.mapping(key).raw("report"):
                message = f"{key}.report is not carried over: nothing is mailed or sent"
                self.draft.differs(message, "tail the monitor log, or write an `on_failure`")
        for key, message in _BESIDE.items():
            if self._keys.raw(key) not in (None, False, 0):
                self.draft.differs(f"`{key}` has no counterpart: {message}")
        for key in _ABSENT:
            if self._keys.raw(key):
                self.draft.changed(f"`{key}` has no counterpart")
