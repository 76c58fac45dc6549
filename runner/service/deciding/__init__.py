"""What a turn decides: a decision, its commit, and the commands that ask for something."""
