"""The marked points of a fleet: where its leader, its other nodes and its workers may die."""

from __future__ import annotations

from support.marked_points import Point, points

_AFTER = ("after",)
_STORE = "runner.store.postgres.store"
_LEASE = "runner.store.postgres.fleet.lease"
_DISPATCHES = "runner.store.postgres.fleet.dispatches"
_EXECUTOR = "runner.service.fleet.fleet_executor:FleetExecutor"
_INBOX = "runner.service.fleet.report_inbox:ReportInbox"
_DISPATCHER = "runner.service.executions.dispatching.dispatcher:Dispatcher"
_LOG = "runner.monitor.log:MonitorLog"
_LOG_WRITER = "runner.service.recording.log_writer:LogWriter"
_LINK = "runner.service.fleet.node_link:NodeLink"
_WORKER = "runner.store.postgres.fleet.worker_side"
_REPORTS = "runner.store.postgres.fleet.worker_reports"
_NOTES = "runner.worker.notes:Notes"
_EXECUTIONS = "runner.worker.executions:Executions"

LEADER_POINTS = [
    # its commit
    *points(f"{_STORE}:PostgresStore.commit"),
    *points(f"{_LEASE}:advance"),  # after: a transaction that holds the row of the lease
    *points(f"{_STORE}:execute_all"),  # amid the transaction
    *points(
        f"{_STORE}:PostgresStore._note_commit"
    ),  # before: it is durable, the loop does not know
    *points("runner.service.executions.claiming.claims:Claims.claim", moments=_AFTER),
    # the renewal of its lease
    *points(f"{_LEASE}:renew"),
    *points(f"{_STORE}:PostgresStore.check"),
    # its offers to the workers, and its stops
    *points(f"{_DISPATCHES}:offer"),
    *points(f"{_DISPATCHES}:stop"),
    *points(f"{_DISPATCHER}.carry_out"),
    *points(f"{_EXECUTOR}.start"),
    *points(f"{_EXECUTOR}.write", f"{_EXECUTOR}.committed"),
    # the reports that it takes
    *points(f"{_DISPATCHES}:reports", moments=_AFTER),
    *points(f"{_INBOX}.look", moments=_AFTER),
    *points(f"{_DISPATCHER}.take_events"),
    *points(f"{_DISPATCHES}:forget_reports"),
    # the commands that it takes
    *points("runner.store.postgres.content.inbox:take", moments=_AFTER),
    *points(f"{_STORE}:PostgresStore.take_commands", moments=_AFTER),
    *points("runner.store.postgres.content.inbox:answer"),
    # the records for its log
    *points(f"{_LOG_WRITER}.append", f"{_LOG}.append"),
    *points(f"{_LOG}._write", moments=("halfway", "after")),
    *points(f"{_STORE}:set_mark"),
]
"""A node passes these while it leads."""
STANDBY_POINTS = [
    *points(f"{_LINK}.look", f"{_LINK}._beat", f"{_LINK}._copy"),
    *points(f"{_LOG}.append"),
    *points(f"{_LOG}._write", moments=("halfway", "after")),
    *points("runner.service.fleet.node_link:set_mark"),
]
"""A node passes these while it stands by, and copies records into its log."""
TAKEOVER_POINTS = [
    *points(f"{_LINK}.close"),
    *points(f"{_LEASE}:take"),  # after: it is not committed yet
    *points("runner.store.postgres.content.inbox:withdraw_orphans", moments=_AFTER),
    *points(f"{_STORE}:_led", moments=_AFTER),
    *points(f"{_STORE}:PostgresStore.load", moments=_AFTER),
    *points(f"{_LOG}.recover"),
    *points(f"{_EXECUTOR}.adopt"),
    *points(f"{_DISPATCHER}.take_over", moments=_AFTER),
    *points("runner.service.loop:Runner.start"),
]
"""A standby passes these when it begins to lead."""
HAND_OVER_POINTS = [
    *points("runner.service.loop:Runner._record_stop", moments=_AFTER),
    *points("runner.service.loop:Runner.commit_last"),
    *points(f"{_STORE}:PostgresStore.close"),
    *points(f"{_LEASE}:give_up"),
]
"""A leader passes these when it is asked to stop."""

RESTART_POINTS = [
    *points("runner.service.loop:Runner._hand_over"),
    *points("runner.service.beside.child_command:ChildCommand.hand_over"),
    *points("runner.service.handover:Handover.write"),
    *points("runner.service.beside.child_pipe:Successor.send"),  # in the next program
]
"""A leader passes these when it is asked to restart."""
WORKER_RESTART_POINTS = [
    *points("runner.worker.loop:Worker._hand_over"),
    *points("runner.service.handover:Handover.write"),
    *points(f"{_EXECUTIONS}.take_over", f"{_EXECUTIONS}._adopt"),  # in the next program
]
"""A worker passes these when it is asked to restart."""

AFTER_TAKE = Point(f"{_WORKER}:take", "after")
BEFORE_NOTE_OF_START = Point(f"{_EXECUTIONS}._note_started", "before")
AFTER_HEARTBEAT = Point(f"{_WORKER}:beat", "after")
WORKER_POINTS = [
    *points(f"{_WORKER}:take", f"{_NOTES}.put"),
    *points("runner.worker.guard:Guard._write", moments=("before",)),
    *points(f"{_EXECUTIONS}._note_started"),
    *points("runner.worker.growing_outputs:GrowingOutputs.read", moments=("before",)),
    *points(f"{_REPORTS}:send", f"{_EXECUTIONS}._note_end", f"{_NOTES}.note_sent"),
    *points(f"{_NOTES}.forget", moments=("before",)),
    AFTER_HEARTBEAT,
]
"""A worker passes these for each execution, from its take to its end."""
