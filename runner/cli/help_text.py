"""The output of `runner --help` at 80 columns, stored so that printing it needs no
click. `UPDATE_HELP=1` makes the tests regenerate it.
"""

HELP = """\
Usage: runner [OPTIONS] COMMAND [ARGS]...

  Run background processes that are declared as YAML files, and log each
  execution as a line of JSON.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  start       Run the process requests of a jobs folder, in the foreground.
  init        Make a jobs folder with commented examples.
  validate    Tell all problems of all files, with what would be right.
  plan        Tell what a change would add, remove, change and run at once.
  ls          List the requests, how they stand, when they fire next.
  show        Tell everything about one request.
  next        List the coming fires of all requests, or of some.
  status      Tell whether a runner is alive, what runs, waits and comes.
  schedule    Press Schedule: fire again from now on.
  unschedule  Press Unschedule: stop future fires; what runs goes on.
  reschedule  Press Reschedule: run a one-time request again, plan a schedule
              afresh.
  exec        Run a request now, and show its output.
  kill        Stop what runs, by request or execution.
  monitor     Show the Process Monitor: what ran, newest last.
  log         Show the output of an execution.
  reload      Have the runner read its jobs folder now.
  doctor      Look at all that a runner needs, with advice.
  schema      Print a JSON schema, for editors and other tools.
  explain     Tell in plain English when something fires, or why it did not
              run.
  simulate    Tell what a span of time would bring: fires, overlaps, busy
              hours.
  import      Bring over requests from another scheduler's files.

  Examples:
    runner init demo && cd demo && runner start
    runner validate
    runner next -n 5
    runner monitor -f

  Exit codes: 0 done, 1 failed or invalid, 2 usage, 3 plan differs, 4 no
  runner reachable. `exec` passes the child's exit code on; 124 timeout, 125
  skipped or not started.
"""
