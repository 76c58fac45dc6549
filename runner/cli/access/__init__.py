"""How a command reaches the jobs folder, its state and the runner."""
