"""The contents of the pages: what each shows, as values for its template."""
