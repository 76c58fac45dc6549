"""What a span of time will bring: fires, executions a minute, overlaps. Pure."""
