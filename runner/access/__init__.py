"""What a command or the page reads of a runner: its places, requests, states and past; and
how it reaches the runner. Prints nothing.
"""
