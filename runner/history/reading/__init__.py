"""Answers questions from the history index, for a page, an API or a command."""
