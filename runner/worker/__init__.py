"""A worker of a fleet: takes executions from the database, runs them here, and reports."""
