"""From a button to a command: what it would do, the question before it, the command."""
