"""The monitor log: its records, the writer that loses and tears no line, and the reader."""
