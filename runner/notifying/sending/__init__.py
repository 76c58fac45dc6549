"""The sender: a program that sends messages and pings, each in a thread of its own.

The runner starts `sender.py` as a file and gives it deliveries on its standard input. Nothing
that a server does can hold up the runner: it kills a sender that takes too long. Touches
the network, processes and environment files.
"""
