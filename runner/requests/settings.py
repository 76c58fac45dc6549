"""The name of the settings file. Pure.

Every command imports this module, so it imports nothing. The values of the file are in
`file_settings`.
"""

NO_JOBS_HINT = "create it with mkdir, set up a new folder with `runner init DIR`, or use --jobs"
"""What to do if there is no jobs folder."""
NAME = "runner.yaml"
"""The name of the settings file; it lies beside the jobs folder."""
