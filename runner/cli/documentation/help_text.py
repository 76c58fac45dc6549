"""The output of `runner --help` at 80 columns, stored so that printing it needs no
click. `UPDATE_HELP=1` makes the tests regenerate it.
"""

HELP = """\
Usage: runner [OPTIONS] COMMAND [ARGS]...

  Run background processes declared as YAML files, and log each execution as a
  line of JSON.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  start       Run the process requests of a jobs folder in the foreground.
  init        Create a jobs folder with commented examples.
  validate    Check every file; report each problem and how to fix it.
  plan        Show what an edit would add, remove, change and run at once.
  ls          List the requests with their status and next fire.
  show        Show everything about one request.
  next        List upcoming fires of all requests, or of the named ones.
  status      Show whether a runner is alive, what it runs, and what is next.
  schedule    Press Schedule: let unscheduled requests fire again.
  unschedule  Press Unschedule: stop future fires, not running executions.
  reschedule  Press Reschedule: rerun a one-time request, restart a schedule.
  pause       Stop the fires of all requests, or of some, for a while.
  resume      End the pauses of all requests, or of some.
  backfill    Run the fires of a past span that have no success.
  exec        Run a request now and show its output.
  kill        Stop running executions, by request or by id.
  monitor     Show the Process Monitor: past and running executions.
  log         Show the output of an execution.
  notify      Send a test message to a receiver of runner.yaml.
  alerts      List what is wrong now, or silence it for a while.
  web         Serve the Process Monitor as a page, with an API and metrics.
  token       Manage the tokens that log in to the page.
  metrics     Print metrics for Prometheus, as the page serves them.
  work        Run executions of a fleet on this machine.
  drain       Let a worker of a fleet finish and take nothing new.
  store       Create a store in PostgreSQL, or move one there.
  reload      Make the runner read its jobs folder now.
  restart     Let the installed program take over; executions go on.
  stop        Stop the runner, with its executions or without them.
  doctor      Check the runner's environment and suggest fixes.
  schema      Print a JSON schema for editors and other tools.
  explain     Explain when something fires, or why it did not.
  simulate    Forecast a time span: fires, overlaps, busy hours.
  calendar    Write the public holidays of a country as dates.
  import      Import requests from another scheduler's files.
  help        Show the documentation, by topic.

  Examples:
    runner init demo && cd demo && runner start
    runner validate
    runner next -n 5
    runner monitor -f

  Exit codes: 0 done, 1 failed or invalid, 2 usage, 3 plan differs, 4 no
  runner reachable. `exec` returns the exit code of the process; 124 timeout,
  125 skipped or not started.
"""
