"""The stored help text, the topics of `runner help`, and the man pages."""
