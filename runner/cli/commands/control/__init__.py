"""The commands that start a runner, run a request, or tell a runner to do something."""
