"""Runner: process requests as YAML files, executed on time, each execution a line of the monitor log."""

__version__ = "0.1.0"
