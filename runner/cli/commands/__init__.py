"""One module per command, or per family of related commands; imported when the command
is called.
"""
