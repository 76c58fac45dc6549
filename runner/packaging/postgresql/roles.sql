-- The database roles of a fleet. Run it as the owner of the tables, after
-- `runner store migrate`, and again after each later `runner store migrate`:
--
--     psql --set schema=runner --file roles.sql DATABASE
--
-- Then give each login role one of the three:
--
--     CREATE ROLE alice LOGIN PASSWORD '…' IN ROLE runner_viewer;

DO $$
DECLARE role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['runner_leader', 'runner_worker', 'runner_viewer'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA :schema TO runner_leader, runner_worker, runner_viewer;
SET search_path = :schema;

-- Looks: `ls`, `status`, `monitor`, `metrics`, the page without its buttons.
-- Commands may hold parameters of `exec`, so a viewer does not see them.
GRANT SELECT ON ALL TABLES IN SCHEMA :schema TO runner_viewer;
REVOKE SELECT ON commands FROM runner_viewer;

-- Leads, stands by, and gives commands: everything but a change of the tables.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :schema TO runner_leader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA :schema TO runner_leader;

-- Works (`runner work`): it takes dispatches and jobs, and reports. It changes neither
-- requests, nor executions, nor records, and gives no command.
GRANT SELECT ON schema_version, lease, meta, executions, dispatches, reports, outputs, nodes
    TO runner_worker;
GRANT UPDATE ON dispatches TO runner_worker;
GRANT INSERT ON reports, outputs TO runner_worker;
GRANT INSERT, UPDATE, DELETE ON nodes TO runner_worker;
GRANT SELECT, INSERT, UPDATE, DELETE
    ON procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers,
       procrastinate_workers
    TO runner_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA :schema TO runner_worker;
