BEGIN TRANSACTION;
CREATE TABLE approvals (
	id INTEGER NOT NULL, 
	incident_id TEXT NOT NULL, 
	episode INTEGER NOT NULL, 
	plan_hash TEXT NOT NULL, 
	requested_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	decision TEXT, 
	"by" TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	decided_at BIGINT, 
	PRIMARY KEY (id), 
	UNIQUE (incident_id, episode, plan_hash), 
	FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "approvals" VALUES(1,'4abad599-2781-59c3-9105-0b7a4a2ef300',1,'p1',1772366402123456,1772366499123456,NULL,'','',NULL);
CREATE TABLE automation (
	id INTEGER NOT NULL, 
	paused BOOLEAN NOT NULL, 
	"by" TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "automation" VALUES(1,1,'ann','maintenance',1772366408123456);
CREATE TABLE effects (
	effect_id TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	episode INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	action TEXT NOT NULL, 
	target TEXT NOT NULL, 
	service TEXT NOT NULL, 
	runbook_id TEXT, 
	snapshot TEXT NOT NULL, 
	intent_at BIGINT NOT NULL, 
	outcome TEXT, 
	outcome_at BIGINT, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (effect_id), 
	UNIQUE (incident_id, episode, step), 
	FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "effects" VALUES('effect-1','4abad599-2781-59c3-9105-0b7a4a2ef300',1,0,'restart_container','payments','payments','restart-leak','{"id":"c0ffee","restart_count":2,"started_at":null}',1772366400123456,'succeeded',1772366402123456,'restarted');
CREATE TABLE endings (
	incident_id TEXT NOT NULL, 
	episode INTEGER NOT NULL, 
	service TEXT NOT NULL, 
	status TEXT NOT NULL, 
	resolution TEXT, 
	reason TEXT, 
	verification TEXT, 
	ended_at BIGINT NOT NULL, 
	PRIMARY KEY (incident_id, episode), 
	FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "endings" VALUES('4abad599-2781-59c3-9105-0b7a4a2ef300',1,'payments','resolved','fixed',NULL,'fixed',1772366405123456);
CREATE TABLE evidence (
	incident_id TEXT NOT NULL, 
	id TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (incident_id, id), 
	FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
CREATE TABLE heartbeat (
	id INTEGER NOT NULL, 
	beats BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "heartbeat" VALUES(1,1);
CREATE TABLE inbox (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id TEXT NOT NULL, 
	payload TEXT NOT NULL, 
	topic TEXT, 
	partition INTEGER, 
	"offset" BIGINT, 
	taken_at BIGINT NOT NULL, 
	correlated_at BIGINT, 
	correlation TEXT, 
	disposition TEXT, 
	incident_id TEXT, 
	UNIQUE (event_id), 
	FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "inbox" VALUES(1,'event-1','{"schema":1,"event_id":"event-1","source":"grafana","fingerprint":"fp-payments","status":"firing","labels":{"alertname":"HighMemory","service":"payments"},"annotations":{},"startsAt":"2026-03-01T12:00:00.123456Z","endsAt":null,"generatorURL":"","received_at":"2026-03-01T12:00:00.123456Z","agent_action":"investigate","runbook_id":null,"escalate_threshold":0.7,"tier":"autonomous","severity":"critical","service":"payments","values":null,"group_key":"","dashboardURL":"","panelURL":"","silenceURL":"","warnings":[]}','sre-critical',1,0,1772366400123456,1772366400123456,'{"disposition":"open","incident_id":"4abad599-2781-59c3-9105-0b7a4a2ef300","all_resolved":false,"why":""}','open','4abad599-2781-59c3-9105-0b7a4a2ef300');
INSERT INTO "inbox" VALUES(2,'event-2','{"schema":1,"event_id":"event-2","source":"grafana","fingerprint":"fp-cart","status":"firing","labels":{"alertname":"HighMemory","service":"cart"},"annotations":{},"startsAt":"2026-03-01T12:00:06.123456Z","endsAt":null,"generatorURL":"","received_at":"2026-03-01T12:00:00.123456Z","agent_action":"investigate","runbook_id":null,"escalate_threshold":0.7,"tier":"autonomous","severity":"warning","service":"cart","values":null,"group_key":"","dashboardURL":"","panelURL":"","silenceURL":"","warnings":[]}',NULL,NULL,NULL,1772366406123456,1772366406123456,'{"disposition":"open","incident_id":"87192eb9-b481-5c12-be63-23f60d3d10c4","all_resolved":false,"why":""}','open','87192eb9-b481-5c12-be63-23f60d3d10c4');
INSERT INTO "inbox" VALUES(3,'eab45242-b979-4fff-91a2-02c574973d1b','{"schema":1,"event_id":"eab45242-b979-4fff-91a2-02c574973d1b","source":"grafana","fingerprint":"fp-search","status":"firing","labels":{"alertname":"HighMemory","service":"search"},"annotations":{},"startsAt":"2026-03-01T12:00:07.123456Z","endsAt":null,"generatorURL":"","received_at":"2026-03-01T12:00:00.123456Z","agent_action":"investigate","runbook_id":null,"escalate_threshold":0.7,"tier":"autonomous","severity":"critical","service":"search","values":null,"group_key":"","dashboardURL":"","panelURL":"","silenceURL":"","warnings":[]}',NULL,NULL,NULL,1772366407123456,1772366407123456,'{"disposition":"open","incident_id":"bea2cf11-e05a-58f4-96b2-58b8741bfb46","all_resolved":false,"why":""}','open','bea2cf11-e05a-58f4-96b2-58b8741bfb46');
CREATE TABLE incident_alerts (
	position INTEGER NOT NULL, 
	incident_id TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	starts_at BIGINT NOT NULL, 
	ended_at BIGINT, 
	proven BOOLEAN NOT NULL, 
	last_event_id TEXT NOT NULL, 
	PRIMARY KEY (position), 
	UNIQUE (incident_id, fingerprint), 
	FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "incident_alerts" VALUES(1,'4abad599-2781-59c3-9105-0b7a4a2ef300','fp-payments',1772366400123456,NULL,1,'event-1');
INSERT INTO "incident_alerts" VALUES(2,'87192eb9-b481-5c12-be63-23f60d3d10c4','fp-cart',1772366406123456,NULL,1,'event-2');
INSERT INTO "incident_alerts" VALUES(3,'bea2cf11-e05a-58f4-96b2-58b8741bfb46','fp-search',1772366407123456,NULL,1,'eab45242-b979-4fff-91a2-02c574973d1b');
CREATE TABLE incidents (
	id TEXT NOT NULL, 
	episode INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	resolution TEXT, 
	reason TEXT, 
	service TEXT NOT NULL, 
	alertname TEXT NOT NULL, 
	severity TEXT NOT NULL, 
	tier TEXT NOT NULL, 
	event_count INTEGER NOT NULL, 
	opened_at BIGINT NOT NULL, 
	episode_at BIGINT NOT NULL, 
	ended_at BIGINT, 
	analyst TEXT, 
	analyst_why TEXT, 
	root_cause TEXT, 
	category TEXT, 
	confidence FLOAT, 
	runbook_id TEXT, 
	plan_hash TEXT, 
	verification TEXT, 
	issue TEXT, 
	all_resolved_at BIGINT, 
	resolve_proven BOOLEAN NOT NULL, 
	decision TEXT, 
	waited_us BIGINT NOT NULL, 
	waiting_since BIGINT, 
	PRIMARY KEY (id)
);
INSERT INTO "incidents" VALUES('4abad599-2781-59c3-9105-0b7a4a2ef300',1,'resolved','fixed',NULL,'payments','HighMemory','critical','autonomous',1,1772366400123456,1772366400123456,1772366405123456,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'fixed','{"iid":7,"url":"http://gitlab/7"}',NULL,1,NULL,0,NULL);
INSERT INTO "incidents" VALUES('87192eb9-b481-5c12-be63-23f60d3d10c4',1,'investigating',NULL,NULL,'cart','HighMemory','warning','autonomous',1,1772366406123456,1772366406123456,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,0,NULL);
INSERT INTO "incidents" VALUES('bea2cf11-e05a-58f4-96b2-58b8741bfb46',1,'investigating',NULL,NULL,'search','HighMemory','critical','autonomous',1,1772366407123456,1772366407123456,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,0,NULL);
CREATE TABLE model_calls (call_id TEXT NOT NULL, incident_id TEXT NOT NULL, model TEXT NOT NULL, "at" BIGINT NOT NULL, outcome TEXT, input BIGINT NOT NULL, cache_write BIGINT NOT NULL, cache_read BIGINT NOT NULL, output BIGINT NOT NULL, micro_usd BIGINT NOT NULL, took_us BIGINT, PRIMARY KEY (call_id));
INSERT INTO "model_calls" VALUES('call-1','4abad599-2781-59c3-9105-0b7a4a2ef300','claude',1772366409123456,'answered',900,0,0,120,4500,2500000);
CREATE TABLE records (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	incident_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	prev_hash TEXT, 
	hash TEXT, 
	published BOOLEAN NOT NULL
);
INSERT INTO "records" VALUES(1,'4abad599-2781-59c3-9105-0b7a4a2ef300','thought',1772366400123456,'{"node":"correlate","text":"Alert HighMemory opened this incident","data":{"event_id":"event-1","disposition":"open","fingerprint":"fp-payments","starts_at":"2026-03-01T12:00:00.123456+00:00"}}',NULL,NULL,1);
INSERT INTO "records" VALUES(2,'4abad599-2781-59c3-9105-0b7a4a2ef300','action',1772366401123456,'{"action":"restart_container","phase":"intent","target":"payments","by":"sreops","detail":"","data":{"effect_id":"effect-1","episode":1,"step":0,"snapshot":{"id":"c0ffee","restart_count":2,"started_at":null},"runbook_id":"restart-leak"}}',NULL,'cb8b748e4859eae3c4b9bd5780aa82712cd3bb4ad0786b087d46b56becbf0cd8',1);
INSERT INTO "records" VALUES(3,'4abad599-2781-59c3-9105-0b7a4a2ef300','action',1772366402123456,'{"action":"restart_container","phase":"outcome","target":"payments","by":"sreops","detail":"restarted","data":{"effect_id":"effect-1","episode":1,"step":0,"outcome":"succeeded"}}','cb8b748e4859eae3c4b9bd5780aa82712cd3bb4ad0786b087d46b56becbf0cd8','7cb1b3110c295a09d2e332daf247594c8f15fae44a6bbdacac3330a5838442bb',0);
INSERT INTO "records" VALUES(4,'4abad599-2781-59c3-9105-0b7a4a2ef300','thought',1772366403123456,'{"node":"n","text":"tells","data":{}}',NULL,NULL,0);
INSERT INTO "records" VALUES(5,'87192eb9-b481-5c12-be63-23f60d3d10c4','thought',1772366406123456,'{"node":"correlate","text":"Alert HighMemory opened this incident","data":{"event_id":"event-2","disposition":"open","fingerprint":"fp-cart","starts_at":"2026-03-01T12:00:06.123456+00:00"}}',NULL,NULL,0);
INSERT INTO "records" VALUES(6,'bea2cf11-e05a-58f4-96b2-58b8741bfb46','thought',1772366407123456,'{"node":"correlate","text":"Alert HighMemory opened this incident","data":{"event_id":"eab45242-b979-4fff-91a2-02c574973d1b","disposition":"open","fingerprint":"fp-search","starts_at":"2026-03-01T12:00:07.123456+00:00"}}',NULL,NULL,0);
INSERT INTO "records" VALUES(7,'automation','action',1772366408123456,'{"action":"pause_automation","phase":"decision","target":"automation","by":"ann","detail":"maintenance","data":{}}',NULL,'78d77eb888417ab53ece71130157acb1c09ad89e53e044df818b427697140f56',0);
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	applied_at BIGINT NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(1,1795406902125999);
INSERT INTO "schema_version" VALUES(2,1772366400123456);
INSERT INTO "schema_version" VALUES(3,1772366409123456);
INSERT INTO "schema_version" VALUES(4,1772366410123456);
CREATE TABLE tickets (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	op_id TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	body TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	due_at BIGINT NOT NULL, 
	done_at BIGINT, 
	refused BOOLEAN NOT NULL, 
	error TEXT, claimed_by TEXT, claimed_until BIGINT, 
	UNIQUE (op_id), 
	FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "tickets" VALUES(1,'4abad599-2781-59c3-9105-0b7a4a2ef300:create','4abad599-2781-59c3-9105-0b7a4a2ef300','create','{"title":"t","description":"d","labels":["sreops"],"severity":"critical"}',0,1772366403123456,1772366403123456,0,NULL,NULL,NULL);
INSERT INTO "tickets" VALUES(2,'4abad599-2781-59c3-9105-0b7a4a2ef300:1:note','4abad599-2781-59c3-9105-0b7a4a2ef300','note','{"note":"still to be sent"}',0,1772366404123456,NULL,0,NULL,'gone',1772366401123456);
CREATE TABLE turns (name TEXT NOT NULL, owner TEXT NOT NULL, "until" BIGINT NOT NULL, PRIMARY KEY (name));
INSERT INTO "turns" VALUES('copies','gone',1772366401123456);
CREATE TABLE work (
	incident_id TEXT NOT NULL, 
	episode INTEGER NOT NULL, 
	service TEXT NOT NULL, 
	rank INTEGER NOT NULL, 
	opened_at BIGINT NOT NULL, 
	due_at BIGINT, 
	timer TEXT, 
	woken_by TEXT NOT NULL, 
	wakes INTEGER NOT NULL, 
	wakes_seen INTEGER NOT NULL, 
	seen_at BIGINT NOT NULL, 
	lease_owner TEXT, 
	lease_until BIGINT, 
	token BIGINT NOT NULL, 
	attempts INTEGER NOT NULL, 
	last_error TEXT, ready BOOLEAN NOT NULL DEFAULT 0, 
	PRIMARY KEY (incident_id), 
	FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
INSERT INTO "work" VALUES('4abad599-2781-59c3-9105-0b7a4a2ef300',1,'payments',0,1772366400123456,NULL,NULL,'start',0,0,1772366400123456,NULL,NULL,1,0,NULL,0);
INSERT INTO "work" VALUES('87192eb9-b481-5c12-be63-23f60d3d10c4',1,'cart',1,1772366406123456,1772366406123456,NULL,'start',0,0,1772366407123456,'w1',1772366437123456,1,0,NULL,0);
INSERT INTO "work" VALUES('bea2cf11-e05a-58f4-96b2-58b8741bfb46',1,'search',0,1772366407123456,1772367000123456,'settle','timer',0,0,1772366407123456,NULL,NULL,1,0,NULL,0);
CREATE INDEX ix_incidents_newest ON incidents (opened_at, id);
CREATE INDEX ix_incidents_ended ON incidents (ended_at);
CREATE INDEX ix_incidents_service ON incidents (service, ended_at);
CREATE INDEX ix_incidents_status ON incidents (status, opened_at);
CREATE INDEX ix_records_unpublished ON records (published, seq);
CREATE INDEX ix_records_incident ON records (incident_id, kind, seq);
CREATE INDEX ix_incident_alerts_fingerprint ON incident_alerts (fingerprint);
CREATE INDEX ix_endings_service ON endings (service, ended_at);
CREATE INDEX ix_inbox_uncorrelated ON inbox (correlated_at, seq);
CREATE INDEX ix_inbox_incident ON inbox (incident_id, seq);
CREATE INDEX ix_work_leased ON work (lease_until);
CREATE INDEX ix_work_due ON work (due_at);
CREATE INDEX ix_effects_runbook ON effects (runbook_id);
CREATE INDEX ix_effects_service ON effects (service, intent_at);
CREATE INDEX ix_tickets_undone ON tickets (done_at, incident_id, seq);
CREATE INDEX ix_tickets_incident ON tickets (incident_id, kind);
CREATE INDEX ix_effects_target ON effects (target, intent_at);
CREATE INDEX ix_model_calls_incident ON model_calls (incident_id);
CREATE INDEX ix_model_calls_at ON model_calls ("at");
CREATE INDEX ix_work_ready ON work (rank, opened_at, incident_id) WHERE ready = 1;
CREATE INDEX ix_work_sleeping ON work (due_at) WHERE ready = 0;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('inbox',3);
INSERT INTO "sqlite_sequence" VALUES('records',7);
INSERT INTO "sqlite_sequence" VALUES('tickets',2);
COMMIT;
