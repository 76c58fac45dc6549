"""The tables of a fleet's store, version by version. Pure.

The tables lie in one schema, which `search_path` names, with those of Procrastinate. Texts
are escaped as `texts` says. Instants in `bigint` are microseconds since
1970-01-01T00:00Z; a `timestamptz` comes from the clock of the database.

The channels of NOTIFY are `runner_commands` (a command was posted), `runner_reports` (a
worker reported), `runner_stops` (an execution must stop) and `runner_records` (records were
committed). A notification only makes its reader look sooner.
"""

from __future__ import annotations

# Step n brings a store of version n to version n + 1. A released step never changes; a
# correction is a further step. `COLLATE "C"` orders texts as SQLite does.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE lease (
            one integer PRIMARY KEY CHECK (one = 1),
            -- A random id of the process that leads, its node, its pid there, and the id of
            -- the node's state folder.
            holder text, node text, pid integer, state_id text,
            epoch bigint NOT NULL, batch bigint NOT NULL,
            -- The number of the newest record. A commit assigns numbers in its first statement.
            record bigint NOT NULL,
            expires timestamptz NOT NULL)""",
        "INSERT INTO lease (one, epoch, batch, record, expires) VALUES (1, 0, 0, 0, '-infinity')",
        """CREATE TABLE records (
            seq bigint PRIMARY KEY, line text NOT NULL,
            at timestamptz NOT NULL DEFAULT clock_timestamp())""",
        """CREATE TABLE nodes (
            name text COLLATE "C", kind text CHECK (kind IN ('start', 'work')),
            machine text NOT NULL, boot text NOT NULL, state_id text NOT NULL,
            instance text NOT NULL, version text NOT NULL,
            joined timestamptz NOT NULL DEFAULT clock_timestamp(),
            heartbeat timestamptz NOT NULL DEFAULT clock_timestamp(),
            queues text[], concurrency integer, executions text[] NOT NULL DEFAULT '{}',
            is_draining boolean NOT NULL DEFAULT false,
            asked text CHECK (asked IN ('stop', 'restart')),
            clock_offset_s double precision NOT NULL DEFAULT 0,
            -- What the node's own monitor log has: records up to a number, and its end. A
            -- file's number has 64 bits without a sign, so it is text.
            log_seq bigint NOT NULL DEFAULT 0, log_file text, log_offset bigint,
            PRIMARY KEY (name, kind))""",
        'CREATE TABLE meta (key text COLLATE "C" PRIMARY KEY, value text NOT NULL)',
        """CREATE TABLE requests (
            name text COLLATE "C" PRIMARY KEY, file text, generation bigint NOT NULL,
            fired_through bigint, state text NOT NULL,
            -- Copies of values in `state`, for questions that must not read every state.
            status text, next_fire bigint, next_due bigint, backfill text)""",
        """CREATE INDEX requests_by_fire ON requests (next_fire, name)
            WHERE file IS NOT NULL AND next_due IS NOT NULL""",
        """CREATE INDEX requests_by_due ON requests (next_due, name)
            WHERE file IS NOT NULL AND next_due IS NOT NULL""",
        'CREATE TABLE definitions (name text COLLATE "C" PRIMARY KEY, definition text)',
        """CREATE TABLE executions (
            id text COLLATE "C" PRIMARY KEY, request text NOT NULL, generation bigint,
            scheduled_for bigint NOT NULL, attempt bigint NOT NULL, sequence bigint NOT NULL,
            phase text NOT NULL, pid bigint, pid_started bigint, body text NOT NULL, node text,
            started bigint, stopped_by text, stopped_for text, due bigint NOT NULL,
            group_id text, queue text NOT NULL DEFAULT 'default')""",
        """CREATE UNIQUE INDEX claims
            ON executions (request, generation, scheduled_for, attempt, sequence,
            COALESCE(group_id, ''))
            WHERE generation IS NOT NULL""",
        """CREATE TABLE results (
            execution text COLLATE "C" PRIMARY KEY, request text COLLATE "C" NOT NULL,
            channel text NOT NULL, status text NOT NULL, reason text,
            scheduled_for bigint NOT NULL, attempt bigint NOT NULL, started bigint,
            ended bigint NOT NULL, duration bigint NOT NULL)""",
        "CREATE INDEX results_of_request ON results (request, ended, execution)",
        """CREATE TABLE commands (
            id text PRIMARY KEY, kind text NOT NULL, arguments text NOT NULL,
            requested_by text NOT NULL, deadline bigint NOT NULL, status text NOT NULL,
            answer text, posted bigint GENERATED ALWAYS AS IDENTITY)""",
        "CREATE INDEX pending ON commands (posted) WHERE status = 'pending'",
        """CREATE TABLE alerts (
            request text COLLATE "C", check_name text COLLATE "C", state text NOT NULL,
            PRIMARY KEY (request, check_name))""",
        'CREATE TABLE notifications (id text COLLATE "C" PRIMARY KEY, body text NOT NULL)',
        # The row that decides who runs an execution. Untaken, it proves "not started".
        """CREATE TABLE dispatches (
            execution text COLLATE "C" PRIMARY KEY REFERENCES executions (id) ON DELETE CASCADE,
            dispatch uuid NOT NULL, queue text NOT NULL,
            offered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            taken_by text, take uuid, taken_at timestamptz, stop_reason text)""",
        "CREATE INDEX dispatches_of_node ON dispatches (taken_by)",
        """CREATE TABLE reports (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            execution text NOT NULL, node text NOT NULL,
            kind text NOT NULL CHECK (kind IN ('started', 'not_started', 'output', 'finished')),
            sequence integer NOT NULL, body text NOT NULL,
            UNIQUE (execution, node, kind, sequence))""",
        """CREATE TABLE outputs (
            execution text COLLATE "C", sequence integer,
            -- The id of the execution; a member's is that of its outermost group, a dot, and
            -- the member's place in it.
            name text COLLATE "C" NOT NULL, data bytea NOT NULL,
            PRIMARY KEY (execution, sequence))""",
        "CREATE INDEX outputs_by_name ON outputs (name)",
    ),
)
