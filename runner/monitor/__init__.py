"""The monitor log: its records, the writer that loses no line, and the reader."""
