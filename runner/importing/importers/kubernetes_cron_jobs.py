"""One CronJob of Kubernetes as a request. Pure."""

from __future__ import annotations

import re

from runner.importing.cron_dialects import ROBFIG
from runner.importing.imported import Data, Draft, ImportSettings
from runner.importing.scheduling import cron_timing, seconds_text
from runner.importing.yaml_source import Keys
from runner.requests.findings import DataPath
from runner.requests.yaml.document import Document

_PLACEHOLDER = ["false"]
_EVERY = re.compile(r"@every (?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_ZONE_PREFIX = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)")
_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")
_DEFAULT_RETRIES = 6  # of a Job without a backoffLimit
_HISTORY = {"successfulJobsHistoryLimit", "failedJobsHistoryLimit"}
_MADE_BY_THE_SERVER = (
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
_NO_MEANING = ("apiVersion", "kind", "status")


class CronJob:
    """Converts one manifest to a request, from outside in: CronJob, Job, Pod, container."""

    def __init__(
        self, data: dict[str, object], path: DataPath, document: Document, settings: ImportSettings
    ) -> None:
        line = document.spot(path).line
        self.draft = Draft(line=line, excerpt="", wanted_name="cronjob")
        self.needs_zone = False
        self._settings = settings
        top = Keys(data=data, draft=self.draft, document=document, path=path)
        top.ignore(*_NO_MEANING)
        self._metadata(top.mapping("metadata"))
        self._spec(top.mapping("spec"))
        top.report_unused()

    def _metadata(self, metadata: Keys) -> None:
        name, namespace = metadata.text("name") or "cronjob", metadata.text("namespace")
        self.draft.wanted_name = name
        self.draft.excerpt = f"CronJob {namespace}/{name}" if namespace else f"CronJob {name}"
        metadata.ignore(*_MADE_BY_THE_SERVER)
        self._note_annotations(metadata)
        given = metadata.mapping("labels")
        labels = {key: given.text(key) or "" for key in given.data}
        if namespace:
            labels["namespace"] = namespace
        if labels:
            self.draft.data["labels"] = labels

    def _note_annotations(self, metadata: Keys) -> None:
        if metadata.raw("annotations"):
            key = metadata.named("annotations")
            message = f"`{key}` are for other programs and are not carried over"
            self.draft.note(message, line=metadata.line("annotations"))

    def _inner_metadata(self, keys: Keys) -> None:
        """Take the metadata of a Job or Pod: it only names and labels the object."""
        metadata = keys.mapping("metadata")
        metadata.ignore("creationTimestamp", "labels", "name")
        self._note_annotations(metadata)

    def _spec(self, spec: Keys) -> None:
        job = spec.mapping("jobTemplate")
        self._inner_metadata(job)
        self._job(job.mapping("spec"))
        if timing := self._timing(spec):
            self.draft.data["timing"] = timing
        if spec.truth("suspend", default=False):
            self.draft.data["scheduled"] = False
            self.draft.note("it is suspended", line=spec.line("suspend"))
        self._concurrency(spec)
        if spec.data.keys() & _HISTORY:
            spec.ignore(*_HISTORY)
            self.draft.differs(
                "history limits are not carried over: `retention` bounds the outputs of a"
                " request, and the log is left to you"
            )

    def _timing(self, spec: Keys) -> Data | None:
        text, zone = spec.text("schedule") or "", spec.text("timeZone")
        if match := _ZONE_PREFIX.fullmatch(text):
            zone, text = zone or match[1], match[2]
        if match := _EVERY.fullmatch(text):
            return self._every(match)
        self.needs_zone = zone is None
        timing = cron_timing(self.draft, text, ROBFIG, self._settings, zone=zone)
        if timing:
            timing["schedule"] |= self._misfire(spec)
        return timing

    def _every(self, match: re.Match[str]) -> Data | None:
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        total = (hours * 60 + minutes) * 60 + seconds
        if not total:
            self.draft.changed(f"{match[0]!r} is not a schedule", "write a `timing`")
            return None
        message = (
            f"{match[0]!r} counts from the creation of the CronJob; here from 1970-01-01 00:00 UTC"
        )
        self.draft.differs(message, "set `start` if it matters")
        unit, size = next((unit, size) for unit, size in _UNITS if total % size == 0)
        return {"schedule": {"frequency": unit, "interval": total // size}}

    def _misfire(self, spec: Keys) -> Data:
        """Return the misfire policy.

        Kubernetes catches up the latest missed run, however late it is. With a deadline it
        does so only within that many seconds.
        """
        deadline = spec.number("startingDeadlineSeconds")
        if deadline is None:
            self.draft.note(
                "without startingDeadlineSeconds, one missed run is caught up, however late"
            )
            return {"misfire": "fire_once"}
        if deadline < 10:  # the documentation warns of it: the controller checks every 10 s
            self.draft.changed(
                "with a startingDeadlineSeconds below 10, Kubernetes may never run it"
            )
            return {}
        return {"misfire_grace": seconds_text(deadline)}

    def _concurrency(self, spec: Keys) -> None:
        line = spec.line("concurrencyPolicy")
        match spec.text("concurrencyPolicy"):
            case None | "Allow":
                return
            case "Forbid":
                self.draft.process["prevent_concurrent"] = True
                message = (
                    "Forbid: Runner skips a fire while the process runs;"
                    " Kubernetes may still run it when the previous run ends"
                )
                self.draft.differs(message, "use `on_overlap: queue` for that", line=line)
            case "Replace":
                self.draft.process |= {"prevent_concurrent": True, "on_overlap": "replace"}
            case other:
                self.draft.changed(f"there is no concurrencyPolicy {other}", line=line)

    def _job(self, job: Keys) -> None:
        retries = job.number("backoffLimit")
        self._pod(job.mapping("template"))
        if retries is None:
            self.draft.note(f"without a backoffLimit, Kubernetes retries {_DEFAULT_RETRIES} times")
            retries = _DEFAULT_RETRIES
        if retries > 0:
            # A Job's back-off: 10 s, doubled each time, at most 6 minutes.
            self.draft.process["retry"] = {
                "attempts": int(retries) + 1, "delay": "10s", "backoff": 2, "max_delay": "6m",
            }  # fmt: skip
        deadline = job.number("activeDeadlineSeconds")
        if deadline:
            self.draft.process["timeout"] = seconds_text(deadline)
            if retries > 0:
                message = (
                    "activeDeadlineSeconds limits all attempts together; `timeout` limits each one"
                )
                self.draft.changed(message, line=job.line("activeDeadlineSeconds"))
        for key in ("parallelism", "completions"):
            if (count := job.number(key)) not in (None, 1):
                self.draft.changed(f"{key} is {count}; Runner runs one process", line=job.line(key))
        job.ignore("ttlSecondsAfterFinished", "manualSelector", "completionMode")

    def _pod(self, template: Keys) -> None:
        self._inner_metadata(template)
        pod = template.mapping("spec")
        # The time between TERM and KILL: Kubernetes defaults to 30 seconds, Runner to 10.
        grace = pod.number("terminationGracePeriodSeconds")
        self.draft.process["stop_grace"] = seconds_text(30 if grace is None else grace)
        if (deadline := pod.number("activeDeadlineSeconds")) is not None:
            self.draft.process.setdefault("timeout", seconds_text(deadline))
        containers = list(pod.mappings("containers"))
        if len(containers) > 1:
            self.draft.changed(
                f"it has {len(containers)} containers; only the first is carried over",
                line=pod.line("containers"),
            )
            for other in containers[1:]:
                other.ignore_all()
        if containers:
            self._container(containers[0])
        else:
            message = (
                f"it has no container, so there is nothing to run;"
                f" `{_PLACEHOLDER[0]}` takes its place"
            )
            self.draft.changed(message, "write its `command`", line=pod.line("containers"))
            self.draft.process["command"] = _PLACEHOLDER
        pod.ignore("restartPolicy", "dnsPolicy", "schedulerName")

    def _container(self, container: Keys) -> None:
        image = container.text("image")
        message = f"the image {image} is not carried over: the command runs on this machine"
        suggestion = (
            "check the command, or run the image with [podman, run, --rm, IMAGE, …];"
            " then remove `scheduled`"
        )
        self.draft.changed(message, suggestion, line=container.line("image"))
        environment = self._environment(container)
        command = [_expanded(str(part), environment) for part in container.items("command")]
        arguments = [_expanded(str(part), environment) for part in container.items("args")]
        if not command:
            self.draft.changed(
                "it runs the image's own entry point, which the manifest does not contain",
                "write its `command`",
            )
            command, arguments = _PLACEHOLDER, []
        self.draft.process |= {"command": [*command, *arguments]}
        if environment:
            self.draft.process["environment"] = environment
        if directory := container.text("workingDir"):
            self.draft.process["directory"] = directory
        container.ignore(
            "name", "imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy"
        )

    def _environment(self, container: Keys) -> Data:
        found: Data = {}
        for variable in container.mappings("env"):
            name, value = variable.text("name"), variable.text("value")
            if variable.raw("valueFrom") is not None:
                message = (
                    f"the value of {name} comes from another object (valueFrom)"
                    " and is not carried over"
                )
                self.draft.changed(
                    message, "set it in the runner's environment", line=variable.line()
                )
            elif name:
                found[name] = _expanded(value or "", found)
            else:
                self.draft.changed(
                    "a variable without a name is not carried over", line=variable.line()
                )
        return found


_UNITS = (("hourly", 3600), ("minutely", 60), ("secondly", 1))


def _expanded(text: str, environment: Data) -> str:
    """Expand the references to variables that Kubernetes itself expands.

    `$$(NAME)` is an escaped `$(NAME)`; a reference to an unknown variable stays.

    >>> _expanded("$(A) $(B) $$(A)", {"A": "1"})
    '1 $(B) $(A)'
    """
    return _REFERENCE.sub(
        lambda match: "$" if match[1] is None else str(environment.get(match[1], match[0])),
        text,
    )
