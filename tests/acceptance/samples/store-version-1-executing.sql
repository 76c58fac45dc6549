PRAGMA application_id = 1381322322;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE commands (
            id TEXT PRIMARY KEY, kind TEXT NOT NULL, arguments TEXT NOT NULL,
            requested_by TEXT NOT NULL, deadline INTEGER NOT NULL, status TEXT NOT NULL,
            answer TEXT);
INSERT INTO "commands" VALUES('01a22bae-5b9a-75bb-86fd-96a38c5189da','unschedule','{}','root',1796029186730612,'answered','{"is_done": true, "lines": ["off: unscheduled (differs from its file)"], "data": {}}');
CREATE TABLE definitions (name TEXT PRIMARY KEY, definition TEXT);
INSERT INTO "definitions" VALUES('failing','{"data":{"process":{"shell":"echo lost; exit 4"},"timing":"run_immediately","on_failure":{"request":"notice"}},"name":"failing","folder":"{folder}/jobs.d","file":"failing.yaml","line":1,"sha256":"11705c2ce9f49f9ef5d17f055ddad4ad205f0d9418566181dcae672c813f5059"}');
INSERT INTO "definitions" VALUES('group','{"data":{"process":{"group":{"members":[{"name":"one","shell":"true"},{"name":"two","shell":"sleep 600"},{"name":"three","shell":"echo end"}]}},"timing":"run_immediately"},"name":"group","folder":"{folder}/jobs.d","file":"group.yaml","line":1,"sha256":"e26129fccb6f84d190312d385a1d0dc8fdfdac44593dc6f3b979c0104e5d4568"}');
INSERT INTO "definitions" VALUES('notice','{"data":{"process":{"shell":"sleep 600"},"timing":{"schedule":{"frequency":"daily","at":"05:00"}}},"name":"notice","folder":"{folder}/jobs.d","file":"notice.yaml","line":1,"sha256":"3b1d32fe47496adc10305dd680333cd539f7443ac46733f6503b5308e8fe13c5"}');
INSERT INTO "definitions" VALUES('off','{"data":{"process":{"shell":"true"},"timing":{"schedule":{"frequency":"minutely"}}},"name":"off","folder":"{folder}/jobs.d","file":"off.yaml","line":1,"sha256":"6dc8aa8be7d171e9ee90b2dc55b59f56a1f24ce6d63cb309f1a0be7c0955fdb0"}');
INSERT INTO "definitions" VALUES('queued','{"data":{"process":{"shell":"echo late"},"timing":"run_immediately"},"name":"queued","folder":"{folder}/jobs.d","file":"queued.yaml","line":1,"sha256":"c86fdb4ab1a5311a900efc81938e4b386e2e2a914f9f9e2d9d1f96d959d61ee7"}');
INSERT INTO "definitions" VALUES('retried','{"data":{"process":{"shell":"echo again; false","retry":{"attempts":3,"delay":"1h"}},"timing":"run_immediately","labels":{"team":"ledger"},"owner":"finance"},"name":"retried","folder":"{folder}/jobs.d","file":"retried.yaml","line":1,"sha256":"b4a44f8ab80e70c2db43cce3d69f1333d6f1adb9818024388c4db71cfb9b3cfb"}');
INSERT INTO "definitions" VALUES('running','{"data":{"process":{"shell":"sleep 600"},"timing":"run_immediately"},"name":"running","folder":"{folder}/jobs.d","file":"running.yaml","line":1,"sha256":"4a75cf05ed1a2b9e28b9edbda432b58c54104c11adea035404dfc18e4cc61992"}');
CREATE TABLE executions (
            id TEXT PRIMARY KEY, request TEXT NOT NULL, generation INTEGER,
            scheduled_for INTEGER NOT NULL, attempt INTEGER NOT NULL, sequence INTEGER NOT NULL,
            phase TEXT NOT NULL, node TEXT, pid INTEGER, pid_started INTEGER,
            body TEXT NOT NULL, started INTEGER, stopped_by TEXT, stopped_for TEXT,
            due INTEGER NOT NULL, group_id TEXT);
INSERT INTO "executions" VALUES('01a22bae-4657-7f56-930c-7de1f0bec807','group',1,1796029171282570,1,0,'running',NULL,NULL,NULL,'{"process":{"name":"group","directory":"{folder}/jobs.d","group":{"members":[{"name":"group/one","directory":"{folder}/jobs.d","shell":"true"},{"name":"group/two","directory":"{folder}/jobs.d","shell":"sleep 600"},{"name":"group/three","directory":"{folder}/jobs.d","shell":"echo end"}],"stop_on_failure":false}},"claim":{"output_file": "7/0/01a22bae-4657-7f56-930c-7de1f0bec807.out", "failed_before": 0, "within": [], "on_failure": null, "extra_variables": {}, "params": {}, "requested_by": null, "git_commit": null, "labels": {}, "owner": null, "moved": null, "channel": "process_scheduler", "source": ["group.yaml", 1, "e26129fccb6f84d190312d385a1d0dc8fdfdac44593dc6f3b979c0104e5d4568"], "context": [null, null]}}',1796029171287343,NULL,NULL,1796029171282570,NULL);
INSERT INTO "executions" VALUES('01a22bae-4658-77ac-af77-a3f707587f1e','running',1,1796029171282570,1,0,'running','vm',11715,4109884,'{"process":{"name":"running","directory":"{folder}/jobs.d","shell":"sleep 600"},"claim":{"output_file": "e/1/01a22bae-4658-77ac-af77-a3f707587f1e.out", "failed_before": 0, "within": [], "on_failure": null, "extra_variables": {}, "params": {}, "requested_by": null, "git_commit": null, "labels": {}, "owner": null, "moved": null, "channel": "process_scheduler", "source": ["running.yaml", 1, "4a75cf05ed1a2b9e28b9edbda432b58c54104c11adea035404dfc18e4cc61992"], "context": [null, null]}}',1796029171327033,NULL,NULL,1796029171282570,NULL);
INSERT INTO "executions" VALUES('01a22bae-4677-7958-9af9-eb31fad9c463','notice',NULL,1796029171282570,1,0,'running','vm',11720,4109886,'{"process":{"name":"notice","directory":"{folder}/jobs.d","shell":"sleep 600"},"claim":{"output_file": "3/6/01a22bae-4677-7958-9af9-eb31fad9c463.out", "failed_before": 0, "within": [], "on_failure": null, "extra_variables": {"RUNNER_FAILED_RECORD": "{\"v\":1,\"id\":\"01a22bae-4672-71c7-bbc9-01ee44467447\",\"time\":\"2026-11-30T08:59:31.314492Z\",\"event\":\"execution.finished\",\"runner\":\"01a22bae-44a0-76c9-a0a9-9f22ca20acae\",\"host\":\"vm\",\"execution\":\"01a22bae-4657-76fa-91c3-27c2ef7b3b67\",\"request\":\"failing\",\"process\":\"failing\",\"channel\":\"process_scheduler\",\"status\":\"error\",\"reason\":\"exit_code\",\"scheduled_for\":\"2026-11-30T08:59:31.282570Z\",\"started\":\"2026-11-30T08:59:31.290227Z\",\"ended\":\"2026-11-30T08:59:31.314492Z\",\"duration_s\":0.024266,\"lateness_s\":0.007657,\"attempt\":1,\"generation\":1,\"group\":null,\"sequence\":null,\"requested_by\":null,\"requested_via\":null,\"context\":{\"client\":null,\"organization\":null},\"labels\":null,\"owner\":null,\"exit_code\":4,\"signal\":null,\"pid\":11704,\"cpu_s\":0.000922,\"max_rss_bytes\":null,\"output_tail\":\"lost\\n\",\"output_bytes\":5,\"output_truncated\":false,\"output_file\":\"{folder}/state/outputs/7/6/01a22bae-4657-76fa-91c3-27c2ef7b3b67.out\",\"request_file\":\"failing.yaml\",\"request_sha256\":\"11705c2ce9f49f9ef5d17f055ddad4ad205f0d9418566181dcae672c813f5059\",\"git_commit\":null,\"message\":\"exit code 4\"}"}, "params": {}, "requested_by": "on_failure of failing", "git_commit": null, "labels": {}, "owner": null, "moved": null, "channel": "direct", "source": ["notice.yaml", 1, "3b1d32fe47496adc10305dd680333cd539f7443ac46733f6503b5308e8fe13c5"], "context": [null, null]}}',1796029171345939,NULL,NULL,1796029171319566,NULL);
INSERT INTO "executions" VALUES('01a22bae-4677-7c64-8ae1-057814728fc2','retried',1,1796029171282570,2,0,'waiting',NULL,NULL,NULL,'{"process":{"name":"retried","directory":"{folder}/jobs.d","shell":"echo again; false","retry":{"attempts":3,"delay":3600000000}},"claim":{"output_file": "2/c/01a22bae-4677-7c64-8ae1-057814728fc2.out", "failed_before": 0, "within": [], "on_failure": null, "extra_variables": {}, "params": {}, "requested_by": null, "git_commit": null, "labels": {"team": "ledger"}, "owner": "finance", "moved": null, "channel": "retry", "source": ["retried.yaml", 1, "b4a44f8ab80e70c2db43cce3d69f1333d6f1adb9818024388c4db71cfb9b3cfb"], "context": [null, null]}}',NULL,NULL,NULL,4102444800000000,NULL);
INSERT INTO "executions" VALUES('01a22bae-4693-700d-9197-e1e5da8d3e81','group',1,1796029171282570,1,2,'running','vm',11736,4109890,'{"process":{"name":"group/two","directory":"{folder}/jobs.d","shell":"sleep 600"},"claim":{"output_file": "7/0/01a22bae-4657-7f56-930c-7de1f0bec807.2-1.out", "failed_before": 0, "within": ["group"], "on_failure": null, "extra_variables": {}, "params": {}, "requested_by": null, "git_commit": null, "labels": {}, "owner": null, "moved": null, "channel": "group", "source": ["group.yaml", 1, "e26129fccb6f84d190312d385a1d0dc8fdfdac44593dc6f3b979c0104e5d4568"], "context": [null, null]}}',1796029171382712,NULL,NULL,1796029171347331,'01a22bae-4657-7f56-930c-7de1f0bec807');
CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1), file TEXT NOT NULL, offset INTEGER NOT NULL);
INSERT INTO "mark" VALUES(1,'2252948',19068);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('alive','11541');
INSERT INTO "meta" VALUES('boot','a01790cb-ab6d-4f6d-89c9-9f258916f7ad');
INSERT INTO "meta" VALUES('clock','{"seen": 1796029176742807, "latest": 1796029176742807}');
INSERT INTO "meta" VALUES('git_commit','');
INSERT INTO "meta" VALUES('jobs','{folder}/jobs.d');
INSERT INTO "meta" VALUES('monitor_log','{folder}/state/monitor.jsonl');
INSERT INTO "meta" VALUES('pid','11541');
INSERT INTO "meta" VALUES('runner','01a22bae-44a0-76c9-a0a9-9f22ca20acae');
INSERT INTO "meta" VALUES('started','1796029170892404');
INSERT INTO "meta" VALUES('stopping','');
INSERT INTO "meta" VALUES('version','0.1.0');
INSERT INTO "meta" VALUES('zone','Etc/UTC');
INSERT INTO "meta" VALUES('zone_data','{"Etc/UTC": "eJwLicpMM2IgCBiBmAXCDA1xZgghSxcXkDDgAgBn0wZx"}');
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, line BLOB NOT NULL);
CREATE TABLE requests (
            name TEXT PRIMARY KEY, file TEXT, generation INTEGER NOT NULL, fired_through INTEGER,
            state TEXT NOT NULL);
INSERT INTO "requests" VALUES('failing','failing.yaml',1,1796029171282570,'{"status": "complete", "since": "2026-11-30T08:59:31.282570Z", "rule": "run_immediately", "ran_immediately": true, "result": "error", "result_at": "2026-11-30T08:59:31.314492Z", "claimed": [1796029171282570, 1796029171282570], "furthest_verdict": true}');
INSERT INTO "requests" VALUES('group','group.yaml',1,1796029171282570,'{"status": "complete", "since": "2026-11-30T08:59:31.282570Z", "rule": "run_immediately", "ran_immediately": true, "claimed": [1796029171282570, 1796029171282570], "furthest_verdict": true}');
INSERT INTO "requests" VALUES('notice','notice.yaml',1,1796029171282570,'{"status": "scheduled", "since": "2026-11-30T08:59:31.282570Z", "rule": "daily 1 0123456; at 05:00:00; in Etc/UTC"}');
INSERT INTO "requests" VALUES('off','off.yaml',1,1796029171282570,'{"status": "unscheduled", "since": "2026-11-30T08:59:31.282570Z", "rule": "interval 60", "override": false, "override_by": "root", "override_at": "2026-11-30T08:59:36.746646Z"}');
INSERT INTO "requests" VALUES('queued','queued.yaml',1,1796029171282570,'{"status": "complete", "since": "2026-11-30T08:59:31.282570Z", "rule": "run_immediately", "ran_immediately": true, "result": "success", "result_at": "2026-11-30T08:59:31.314849Z", "claimed": [1796029171282570, 1796029171282570], "furthest_verdict": true}');
INSERT INTO "requests" VALUES('retried','retried.yaml',1,1796029171282570,'{"status": "complete", "since": "2026-11-30T08:59:31.282570Z", "rule": "run_immediately", "ran_immediately": true, "result": "error", "result_at": "2026-11-30T08:59:31.319138Z", "claimed": [1796029171282570, 1796029171282570], "furthest_verdict": true}');
INSERT INTO "requests" VALUES('running','running.yaml',1,1796029171282570,'{"status": "complete", "since": "2026-11-30T08:59:31.282570Z", "rule": "run_immediately", "ran_immediately": true, "claimed": [1796029171282570, 1796029171282570], "furthest_verdict": true}');
CREATE UNIQUE INDEX claims
            ON executions (request, generation, scheduled_for, attempt, sequence,
            COALESCE(group_id, ''))
            WHERE generation IS NOT NULL;
CREATE INDEX pending ON commands (status) WHERE status = 'pending';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',26);
COMMIT;
