PRAGMA application_id = 1381322322;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE commands (
            id TEXT PRIMARY KEY, kind TEXT NOT NULL, arguments TEXT NOT NULL,
            requested_by TEXT NOT NULL, deadline INTEGER NOT NULL, status TEXT NOT NULL,
            answer TEXT);
CREATE TABLE definitions (name TEXT PRIMARY KEY, definition TEXT);
INSERT INTO "definitions" VALUES('bad','{"data":{"process":{"shell":"echo broken; exit 3"},"timing":{"schedule":{"frequency":"daily","at":"03:00","timezone":"UTC"}}},"name":"bad","folder":"{folder}/jobs.d","file":"bad.yaml","line":1,"sha256":"530fb55c218a7095e9f2d00986dd4e21a8726cb44fc5ecf1fe8f8b9fd210b694"}');
INSERT INTO "definitions" VALUES('good','{"data":{"process":{"shell":"echo fine"},"timing":{"schedule":{"frequency":"daily","at":"02:00","timezone":"UTC"}}},"name":"good","folder":"{folder}/jobs.d","file":"good.yaml","line":1,"sha256":"3e4b3f2251f67371c0d724b82aa9eb3fde93f4a39f2fb6bd00b6596f16f6b478"}');
INSERT INTO "definitions" VALUES('group','{"data":{"process":{"group":{"members":[{"name":"one","shell":"echo 1"},{"name":"two","shell":"echo 2"}]}},"timing":{"schedule":{"frequency":"daily","at":"05:00","timezone":"UTC"}}},"name":"group","folder":"{folder}/jobs.d","file":"group.yaml","line":1,"sha256":"ba18da30e137871b0de39c2532a61f397da656946a16ceeb6fd3c82e7e571282"}');
INSERT INTO "definitions" VALUES('never','{"data":{"process":{"shell":"true"},"timing":{"schedule":{"frequency":"daily","at":"04:00","timezone":"UTC"}}},"name":"never","folder":"{folder}/jobs.d","file":"never.yaml","line":1,"sha256":"cf06e7450de6d0aa4ccb5528e04dcc7235e136bfbb29b9a666e57a27dba9b2b0"}');
CREATE TABLE executions (
            id TEXT PRIMARY KEY, request TEXT NOT NULL, generation INTEGER,
            scheduled_for INTEGER NOT NULL, attempt INTEGER NOT NULL, sequence INTEGER NOT NULL,
            phase TEXT NOT NULL, node TEXT, pid INTEGER, pid_started INTEGER,
            body TEXT NOT NULL, started INTEGER, stopped_by TEXT, stopped_for TEXT,
            due INTEGER NOT NULL, group_id TEXT);
CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1), file TEXT NOT NULL, offset INTEGER NOT NULL);
INSERT INTO "mark" VALUES(1,'3613814',14888);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('alive','');
INSERT INTO "meta" VALUES('boot','a01790cb-ab6d-4f6d-89c9-9f258916f7ad');
INSERT INTO "meta" VALUES('clock','{"seen": 1796025623035276, "latest": 1796025623035276}');
INSERT INTO "meta" VALUES('git_commit','');
INSERT INTO "meta" VALUES('jobs','{folder}/jobs.d');
INSERT INTO "meta" VALUES('monitor_log','{folder}/state/monitor.jsonl');
INSERT INTO "meta" VALUES('pid','10285');
INSERT INTO "meta" VALUES('result of later','error 2026-11-30T08:00:23.843701Z');
INSERT INTO "meta" VALUES('runner','01a22b78-1175-7221-8a55-e382ae4ab5ae');
INSERT INTO "meta" VALUES('started','1796025623736763');
INSERT INTO "meta" VALUES('stopping','');
INSERT INTO "meta" VALUES('version','0.1.0');
INSERT INTO "meta" VALUES('zone','Etc/UTC');
INSERT INTO "meta" VALUES('zone_data','{"Etc/UTC": "eJwLicpMM2IgCBiBmAXCDA1xZgghSxcXkDDgAgBn0wZx", "UTC": "eJwLicpMM2IgCBiBmAXCDA1xZgghSxcXkDDgAgBn0wZx"}');
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, line BLOB NOT NULL);
CREATE TABLE requests (
            name TEXT PRIMARY KEY, file TEXT, generation INTEGER NOT NULL, fired_through INTEGER,
            state TEXT NOT NULL);
INSERT INTO "requests" VALUES('bad','bad.yaml',1,1796025619040920,'{"status": "scheduled", "since": "2026-11-30T08:00:19.040920Z", "rule": "daily 1 0123456; at 03:00:00; in UTC", "result": "error", "result_at": "2026-11-30T08:00:22.687492Z"}');
INSERT INTO "requests" VALUES('good','good.yaml',1,1796025619040920,'{"status": "scheduled", "since": "2026-11-01T08:00:19.040920Z", "rule": "daily 1 0123456; at 02:00:00; in UTC", "result": "success", "result_at": "2026-11-30T08:00:22.432836Z"}');
INSERT INTO "requests" VALUES('group','group.yaml',1,1796025619040920,'{"status": "scheduled", "since": "2026-11-30T08:00:19.040920Z", "rule": "daily 1 0123456; at 05:00:00; in UTC", "result": "success", "result_at": "2026-11-30T08:00:23.009506Z"}');
INSERT INTO "requests" VALUES('never','never.yaml',1,1796025619040920,'{"status": "scheduled", "since": "2026-11-30T08:00:19.040920Z", "rule": "daily 1 0123456; at 04:00:00; in UTC"}');
CREATE UNIQUE INDEX claims
            ON executions (request, generation, scheduled_for, attempt, sequence,
            COALESCE(group_id, ''))
            WHERE generation IS NOT NULL;
CREATE INDEX pending ON commands (status) WHERE status = 'pending';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',18);
COMMIT;
