"""The commands that show requests and executions, and change nothing."""
