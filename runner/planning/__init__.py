"""What should happen, decided by pure functions of (requests, states, now). Nothing
here acts or reads a clock.
"""
