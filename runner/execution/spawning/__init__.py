"""Spawns the processes of executions, in threads. Touches processes; any step may hang."""
