"""The folder of requests as names and stats: a walk, a look at single files. Reads no file."""
