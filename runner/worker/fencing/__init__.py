"""What must not run twice: the fence around it, and the process that keeps it in force."""
