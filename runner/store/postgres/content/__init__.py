"""The content of a store as rows: its tables, questions and changes."""
