PRAGMA application_id = 1381322322;
PRAGMA user_version = 5;
BEGIN TRANSACTION;
CREATE TABLE alerts (
            request TEXT NOT NULL, check_name TEXT NOT NULL, state TEXT NOT NULL,
            PRIMARY KEY (request, check_name)) WITHOUT ROWID;
CREATE TABLE commands (
            id TEXT PRIMARY KEY, kind TEXT NOT NULL, arguments TEXT NOT NULL,
            requested_by TEXT NOT NULL, deadline INTEGER NOT NULL, status TEXT NOT NULL,
            answer TEXT);
INSERT INTO "commands" VALUES('01a22dad-529a-7a06-aabb-976e71574d92','exec','{}','root',1796062673323293,'answered','{"is_done": true, "lines": [], "data": {"execution": "01a22dad-5325-717d-8393-5a3a091a6a0d", "output_file": "{folder}/state/outputs/d/0/01a22dad-5325-717d-8393-5a3a091a6a0d.out", "is_group": false}}');
INSERT INTO "commands" VALUES('01a22dad-562b-7285-8083-725cd6d27f1c','exec','{}','root',1796062674236139,'answered','{"is_done": true, "lines": [], "data": {"execution": "01a22dad-56bc-796e-8593-a647088db91f", "output_file": "{folder}/state/outputs/f/1/01a22dad-56bc-796e-8593-a647088db91f.out", "is_group": false}}');
INSERT INTO "commands" VALUES('01a22dad-5c07-780e-a4b8-f374d2f42058','unschedule','{}','root',1796062675736378,'answered','{"is_done": true, "lines": ["off: unscheduled (differs from its file)"], "data": {}}');
INSERT INTO "commands" VALUES('01a22dad-5f54-71a2-8add-62886a5efb90','pause','{}','root',1796062676586542,'answered','{"is_done": true, "lines": ["never: paused"], "data": {}}');
CREATE TABLE definitions (name TEXT PRIMARY KEY, definition TEXT);
INSERT INTO "definitions" VALUES('bad','{"data":{"process":{"shell":"echo broken; exit 3"},"timing":{"schedule":{"frequency":"daily","at":"03:00","start":"2100-01-01"}}},"name":"bad","folder":"{folder}/jobs.d","file":"bad.yaml","line":1,"sha256":"1a12493f031a5aab66f502fe089d3138ede3d031c1e6b584f2247a3e27508a98"}');
INSERT INTO "definitions" VALUES('good','{"data":{"process":{"shell":"echo hello"},"timing":{"schedule":{"frequency":"daily","at":"03:00","start":"2100-01-01"}}},"name":"good","folder":"{folder}/jobs.d","file":"good.yaml","line":1,"sha256":"193385325f3695bab8cda7c903359132086c00abba566e49d1fa200d7976c4f3"}');
INSERT INTO "definitions" VALUES('never','{"data":{"process":{"shell":"true"},"timing":{"schedule":{"frequency":"daily","at":"03:00","start":"2100-01-01"}}},"name":"never","folder":"{folder}/jobs.d","file":"never.yaml","line":1,"sha256":"1bcdf28c070b58586873941f3d11e691d5adbefe28cb30bb7371414a43ab26dd"}');
INSERT INTO "definitions" VALUES('off','{"data":{"process":{"shell":"true"},"timing":{"schedule":{"frequency":"daily","at":"03:00","start":"2100-01-01"}}},"name":"off","folder":"{folder}/jobs.d","file":"off.yaml","line":1,"sha256":"1bcdf28c070b58586873941f3d11e691d5adbefe28cb30bb7371414a43ab26dd"}');
INSERT INTO "definitions" VALUES('retried','{"data":{"process":{"shell":"exit 1","retry":{"attempts":2,"delay":"36500d","max_delay":"36500d"}},"timing":"run_immediately"},"name":"retried","folder":"{folder}/jobs.d","file":"retried.yaml","line":1,"sha256":"31d5b1e30a1a23b1a6827f42a52544cc44d14981e3d813dd85b55f94d97d04f9"}');
INSERT INTO "definitions" VALUES('running','{"data":{"process":{"shell":"n=0; until [ -e ../go ] || [ $((n += 1)) -gt 3000 ]; do sleep 0.1; done"},"timing":"run_immediately"},"name":"running","folder":"{folder}/jobs.d","file":"running.yaml","line":1,"sha256":"cc8fcdf086fd6ca3b984e5abd9c80b3464c778532c1b83fde02d6a30765c0de1"}');
CREATE TABLE executions (
            id TEXT PRIMARY KEY, request TEXT NOT NULL, generation INTEGER,
            scheduled_for INTEGER NOT NULL, attempt INTEGER NOT NULL, sequence INTEGER NOT NULL,
            phase TEXT NOT NULL, node TEXT, pid INTEGER, pid_started INTEGER,
            body TEXT NOT NULL, started INTEGER, stopped_by TEXT, stopped_for TEXT,
            due INTEGER NOT NULL, group_id TEXT, queue TEXT NOT NULL DEFAULT 'default');
INSERT INTO "executions" VALUES('01a22dad-510d-7db3-b3f5-a8c859e2b2b5','running',1,1796062662640212,1,0,'running','vm',31241,7459063,'{"process":{"name":"running","directory":"{folder}/jobs.d","shell":"n=0; until [ -e ../go ] || [ $((n += 1)) -gt 3000 ]; do sleep 0.1; done"},"claim":{"output_file": "5/b/01a22dad-510d-7db3-b3f5-a8c859e2b2b5.out", "channel": "process_scheduler", "source": ["running.yaml", 1, "cc8fcdf086fd6ca3b984e5abd9c80b3464c778532c1b83fde02d6a30765c0de1"], "context": [null, null]}}',1796062663115796,NULL,NULL,1796062662640212,NULL,'default');
INSERT INTO "executions" VALUES('01a22dad-530c-7799-84a1-431bacaed568','retried',1,1796062662640212,2,0,'waiting',NULL,NULL,NULL,'{"process":{"name":"retried","directory":"{folder}/jobs.d","shell":"exit 1","retry":{"attempts":2,"delay":3153600000000000,"max_delay":3153600000000000}},"claim":{"output_file": "8/6/01a22dad-530c-7799-84a1-431bacaed568.out", "channel": "retry", "source": ["retried.yaml", 1, "31d5b1e30a1a23b1a6827f42a52544cc44d14981e3d813dd85b55f94d97d04f9"], "context": [null, null]}}',NULL,NULL,NULL,4949662663434954,NULL,'default');
CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1), file TEXT NOT NULL, offset INTEGER NOT NULL);
INSERT INTO "mark" VALUES(1,'3279187',13310);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('alive','31133');
INSERT INTO "meta" VALUES('boot','a01790cb-ab6d-4f6d-89c9-9f258916f7ad');
INSERT INTO "meta" VALUES('clock','{"seen": 1796062666634222, "latest": 1796062666634222}');
INSERT INTO "meta" VALUES('git_commit','');
INSERT INTO "meta" VALUES('jobs','{folder}/jobs.d');
INSERT INTO "meta" VALUES('monitor_log','{folder}/state/monitor.jsonl');
INSERT INTO "meta" VALUES('pauses','[{"begin": 1796062666692103, "end": null, "reason": "sample", "by": "root", "names": ["never"], "excluded": [], "is_over": false}]');
INSERT INTO "meta" VALUES('pid','31133');
INSERT INTO "meta" VALUES('retention','[2592000000000, null, null, null]');
INSERT INTO "meta" VALUES('runner','01a22dad-4bb1-7c4f-834b-953a8347aad0');
INSERT INTO "meta" VALUES('started','1796062661893503');
INSERT INTO "meta" VALUES('stopping','');
INSERT INTO "meta" VALUES('unsettled','');
INSERT INTO "meta" VALUES('version','0.1.0');
INSERT INTO "meta" VALUES('zone','UTC');
INSERT INTO "meta" VALUES('zone_data','{"UTC": "eJwLicpMM2IgCBiBmAXCDA1xZgghSxcXkDDgAgBn0wZx"}');
CREATE TABLE notifications (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, line BLOB NOT NULL);
CREATE TABLE requests (
            name TEXT PRIMARY KEY, file TEXT, generation INTEGER NOT NULL, fired_through INTEGER,
            state TEXT NOT NULL);
INSERT INTO "requests" VALUES('bad','bad.yaml',1,1796062662640212,'{"status": "scheduled", "since": "2026-11-30T18:17:42.640212Z", "rule": "daily 1 0123456; at 03:00:00; in UTC; from 2100-01-01T00:00:00.000000Z", "coming": [4102455600000000, 4102455600000000]}');
INSERT INTO "requests" VALUES('good','good.yaml',1,1796062662640212,'{"status": "scheduled", "since": "2026-11-30T18:17:42.640212Z", "rule": "daily 1 0123456; at 03:00:00; in UTC; from 2100-01-01T00:00:00.000000Z", "coming": [4102455600000000, 4102455600000000]}');
INSERT INTO "requests" VALUES('never','never.yaml',1,1796062662640212,'{"status": "scheduled", "since": "2026-11-30T18:17:42.640212Z", "rule": "daily 1 0123456; at 03:00:00; in UTC; from 2100-01-01T00:00:00.000000Z", "coming": [4102455600000000, 4102455600000000]}');
INSERT INTO "requests" VALUES('off','off.yaml',1,1796062662640212,'{"status": "unscheduled", "since": "2026-11-30T18:17:42.640212Z", "rule": "daily 1 0123456; at 03:00:00; in UTC; from 2100-01-01T00:00:00.000000Z", "override": false, "override_by": "root", "override_at": "2026-11-30T18:17:45.944343Z"}');
INSERT INTO "requests" VALUES('retried','retried.yaml',1,1796062662640212,'{"status": "complete", "since": "2026-11-30T18:17:42.640212Z", "rule": "run_immediately", "ran_immediately": true, "claimed": [1796062662640212, 1796062662640212], "furthest_verdict": true}');
INSERT INTO "requests" VALUES('running','running.yaml',1,1796062662640212,'{"status": "complete", "since": "2026-11-30T18:17:42.640212Z", "rule": "run_immediately", "ran_immediately": true, "claimed": [1796062662640212, 1796062662640212], "furthest_verdict": true}');
CREATE TABLE results (
            execution TEXT PRIMARY KEY, request TEXT NOT NULL, channel TEXT NOT NULL,
            status TEXT NOT NULL, reason TEXT, scheduled_for INTEGER NOT NULL,
            attempt INTEGER NOT NULL, started INTEGER, ended INTEGER NOT NULL,
            duration INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "results" VALUES('01a22dad-50ad-7ade-aeeb-147460495bcf','retried','process_scheduler','error','exit_code',1796062662640212,1,1796062663084911,1796062663341818,256886);
INSERT INTO "results" VALUES('01a22dad-5325-717d-8393-5a3a091a6a0d','good','direct','success',NULL,1796062663434954,1,1796062663515790,1796062663728670,212861);
INSERT INTO "results" VALUES('01a22dad-56bc-796e-8593-a647088db91f','bad','direct','error','exit_code',1796062664378683,1,1796062664461165,1796062664624761,163415);
CREATE UNIQUE INDEX claims
            ON executions (request, generation, scheduled_for, attempt, sequence,
            COALESCE(group_id, ''))
            WHERE generation IS NOT NULL;
CREATE INDEX pending ON commands (status) WHERE status = 'pending';
CREATE INDEX results_of_request ON results (request, ended, execution);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',18);
COMMIT;
