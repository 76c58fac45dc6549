"""Decide what should happen, by pure functions of (requests, states, now).

Nothing in this package acts or reads a clock. `service` carries out the decisions;
`plan`, `next` and `simulate` print them.
"""
