"""What runs inside the spawned process, as a program with one thread, before or beside
the user's own.
"""
