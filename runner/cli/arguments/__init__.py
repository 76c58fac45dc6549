"""Values of arguments that several commands read: times, expressions, revisions."""
