"""The monitor log: its records, writing it so that no line is lost or torn, reading it back."""
