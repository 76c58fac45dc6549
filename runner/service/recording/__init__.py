"""The way of monitor records: through the store into the log."""
