"""Executions from claim to exit: claims, guards, dispatch, outcomes, and what follows the end."""
