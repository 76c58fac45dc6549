"""The options that commands share. `places` is their result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner.access.places import places
from runner.cli.output.tables import echo
from runner.lifecycle import INVALID, RequestStatus

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Function = TypeVar("Function", bound=Callable[..., Any])


class PlacePath(click.Path):
    """A path that is taken as it is.

    click looks whether there is a file. If its mount hangs, so would every command, even
    one that does not need the file.
    """

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 - click's signature
        ctx: click.Context | None,  # noqa: ARG002 - click's signature
    ) -> Any:
        return self.coerce_path_result(value)


_JOBS = click.option(
    "--jobs",
    envvar="RUNNER_JOBS",
    type=PlacePath(path_type=Path),
    default=Path("jobs.d"),
    show_default=True,
    show_envvar=True,
    help="The jobs folder.",
)
_STATE = click.option(
    "--state",
    envvar="RUNNER_STATE",
    type=PlacePath(path_type=Path),
    show_envvar=True,
    help="The state folder.  [default: $STATE_DIRECTORY, else the user's XDG state folder]",
)
_STORE_FILE = click.option(
    "--store-file",
    envvar="RUNNER_STORE_FILE",
    type=PlacePath(path_type=Path),
    show_envvar=True,
    help="A file of mode 0600 with the URL of a store in PostgreSQL.  [default: $RUNNER_STORE]",
)
_LOG = click.option(
    "--monitor-log",
    envvar="RUNNER_MONITOR_LOG",
    type=PlacePath(path_type=Path),
    show_envvar=True,
    help="The monitor log.  [default: monitor.jsonl in $LOGS_DIRECTORY, else in the state folder]",
)
_ZONE = click.option(
    "--timezone",
    envvar="RUNNER_TIMEZONE",
    show_envvar=True,
    help="Time zone of times without an offset, such as Europe/Madrid.  [default: the system's]",
)


def output_option_of(forms: Sequence[str], meaning: str) -> Callable[[Function], Function]:
    """Return the `--output` option for a command that prints its result in several forms."""
    return click.option(
        "--output", "-o", type=click.Choice(forms), default="text", show_default=True, help=meaning
    )


shared_jobs_option = click.option(
    "--allow-shared-jobs",
    envvar="RUNNER_ALLOW_SHARED_JOBS",
    is_flag=True,
    help="Act alone even if a runner with another state folder serves this jobs folder.",
)
"""For commands that act as the runner if no runner owns their state folder."""

output_option = output_option_of(("text", "json"), "Text for people, or JSON lines.")


def complete_requests(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names of requests."""
    from runner.cli.completion import request_names

    return request_names(context, incomplete, has_members=False)


def complete_requests_and_members(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names of requests and of group members."""
    from runner.cli.completion import request_names

    return request_names(context, incomplete, has_members=True)


def complete_running(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete running or waiting executions, by name or id."""
    from runner.cli.completion import running_names

    return running_names(context, incomplete)


def complete_workers(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names of a fleet's workers."""
    from runner.cli.completion import worker_names

    return worker_names(context, incomplete)


def complete_labels(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete labels: first the keys, then the values of the key."""
    from runner.cli.completion import labels

    return labels(context, incomplete)


def complete_owners(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete owners of requests."""
    from runner.cli.completion import owners

    return owners(context, incomplete)


_LABEL = click.option(
    "--label",
    "labels",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=complete_labels,
    help="Only requests with this label; may be repeated.",
)
_OWNER = click.option(
    "--owner",
    "owners",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_owners,
    help="Only requests of this owner; may be repeated.",
)
_STATUS = click.option(
    "--status",
    "request_statuses",
    type=click.Choice([*map(str, RequestStatus), INVALID]),
    multiple=True,
    help="Only requests with this status; may be repeated.",
)
_FAILING = click.option(
    "--failing", "is_failing", is_flag=True, help="Only requests whose last execution failed."
)


def selection_options(function: Function) -> Function:
    """Give a command `--label`, `--owner`, `--status` and `--failing`, and pass them on
    as one argument `selection`, together with its arguments NAME if it takes any.
    """
    return _LABEL(_OWNER(_STATUS(_FAILING(_with_selection(function)))))


def record_selection_options(function: Function) -> Function:
    """Give the same options to a command on executions, whose `--status` is its own."""
    return _LABEL(_OWNER(_FAILING(_with_selection(function))))


def _with_selection(function: Function) -> Function:
    """Wrap a command function so that what selects arrives as one argument `selection`."""

    def with_selection(
        *args: Any,
        labels: tuple[str, ...],
        owners: tuple[str, ...],
        is_failing: bool,
        request_statuses: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> Any:
        # Imported late: `status` and `monitor` share this module and select nothing.
        from runner.cli.arguments.selection import Selection, labels_of

        selection = Selection(
            names=names,
            labels=labels_of(labels),
            owners=frozenset(owners),
            statuses=frozenset(request_statuses),
            is_failing=is_failing,
        )
        return function(*args, selection=selection, **kwargs)

    return _taking_over(with_selection, function)


def _taking_over(wrapper: Callable[..., Any], function: Function) -> Function:
    """Give a wrapper the name, the help and the options of the function that it wraps."""
    wrapper.__doc__ = function.__doc__
    wrapper.__name__ = function.__name__
    # click collects a function's options in this attribute until @click.command reads it.
    if hasattr(function, "__click_params__"):
        wrapper.__click_params__ = function.__click_params__  # type: ignore[attr-defined]
    return wrapper  # type: ignore[return-value]


def place_options(function: Function) -> Function:
    """Give a command that acts `--jobs`, `--state`, `--store-file`, `--monitor-log` and
    `--timezone`, as one argument `places`.

    When root runs the command, a settings file that another user may change is refused.
    """
    return _with_places(function, is_guarded=True)


def reading_options(function: Function) -> Function:
    """Give a command that only looks the same options, without the check of who may
    change the settings file.

    Root may look at the runner of another user, and check its files in a pipeline.
    """
    return _with_places(function, is_guarded=False)


def _with_places(function: Function, *, is_guarded: bool) -> Function:
    """Wrap a command function so that the five options arrive as one argument `places`."""

    def with_places(
        *args: Any,
        jobs: Path,
        state: Path | None,
        store_file: Path | None,
        monitor_log: Path | None,
        timezone: str | None,
        **kwargs: Any,
    ) -> Any:
        return function(
            *args,
            places=places(
                jobs,
                state,
                monitor_log,
                timezone,
                store_file=store_file,
                is_guarded=is_guarded,
                report=partial(echo, err=True),
            ),
            **kwargs,
        )

    return _JOBS(_STATE(_STORE_FILE(_LOG(_ZONE(_taking_over(with_places, function))))))
