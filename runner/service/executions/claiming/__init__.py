"""What a decision does to executions: claims, stops, and what follows an end. Pure."""
