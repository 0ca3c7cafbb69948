CREATE TABLE public.approvals (
    id bigint NOT NULL,
    incident_id text NOT NULL,
    episode integer NOT NULL,
    plan_hash text NOT NULL,
    requested_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    decision text,
    by text NOT NULL,
    reason text NOT NULL,
    decided_at bigint
);
CREATE SEQUENCE public.approvals_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.approvals_id_seq OWNED BY public.approvals.id;
CREATE TABLE public.automation (
    id integer NOT NULL,
    paused boolean NOT NULL,
    by text NOT NULL,
    reason text NOT NULL,
    at bigint NOT NULL
);
CREATE TABLE public.effects (
    effect_id text NOT NULL,
    incident_id text NOT NULL,
    episode integer NOT NULL,
    step integer NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    service text NOT NULL,
    runbook_id text,
    snapshot text NOT NULL,
    intent_at bigint NOT NULL,
    outcome text,
    outcome_at bigint,
    detail text NOT NULL
);
CREATE TABLE public.endings (
    incident_id text NOT NULL,
    episode integer NOT NULL,
    service text NOT NULL,
    status text NOT NULL,
    resolution text,
    reason text,
    verification text,
    ended_at bigint NOT NULL
);
CREATE TABLE public.evidence (
    incident_id text NOT NULL,
    id text NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.heartbeat (
    id integer NOT NULL,
    beats bigint NOT NULL
);
CREATE TABLE public.inbox (
    seq bigint NOT NULL,
    event_id text NOT NULL,
    payload text NOT NULL,
    topic text,
    partition integer,
    "offset" bigint,
    taken_at bigint NOT NULL,
    correlated_at bigint,
    correlation text,
    disposition text,
    incident_id text
);
CREATE SEQUENCE public.inbox_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.inbox_seq_seq OWNED BY public.inbox.seq;
CREATE TABLE public.incident_alerts (
    "position" bigint NOT NULL,
    incident_id text NOT NULL,
    fingerprint text NOT NULL,
    starts_at bigint NOT NULL,
    ended_at bigint,
    proven boolean NOT NULL,
    last_event_id text NOT NULL
);
CREATE SEQUENCE public.incident_alerts_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.incident_alerts_position_seq OWNED BY public.incident_alerts."position";
CREATE TABLE public.incidents (
    id text NOT NULL,
    episode integer NOT NULL,
    status text NOT NULL,
    resolution text,
    reason text,
    service text NOT NULL,
    alertname text NOT NULL,
    severity text NOT NULL,
    tier text NOT NULL,
    event_count integer NOT NULL,
    opened_at bigint NOT NULL,
    episode_at bigint NOT NULL,
    ended_at bigint,
    analyst text,
    analyst_why text,
    root_cause text,
    category text,
    confidence double precision,
    runbook_id text,
    plan_hash text,
    verification text,
    issue text,
    all_resolved_at bigint,
    resolve_proven boolean NOT NULL,
    decision text,
    waited_us bigint NOT NULL,
    waiting_since bigint
);
CREATE TABLE public.model_calls (
    call_id text NOT NULL,
    incident_id text NOT NULL,
    model text NOT NULL,
    at bigint NOT NULL,
    outcome text,
    input bigint NOT NULL,
    cache_write bigint NOT NULL,
    cache_read bigint NOT NULL,
    output bigint NOT NULL,
    micro_usd bigint NOT NULL,
    took_us bigint
);
CREATE TABLE public.records (
    seq bigint NOT NULL,
    incident_id text NOT NULL,
    kind text NOT NULL,
    at bigint NOT NULL,
    body text NOT NULL,
    prev_hash text,
    hash text,
    published boolean NOT NULL
);
CREATE SEQUENCE public.records_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.records_seq_seq OWNED BY public.records.seq;
CREATE TABLE public.schema_version (
    version integer NOT NULL,
    applied_at bigint NOT NULL
);
CREATE TABLE public.tickets (
    seq bigint NOT NULL,
    op_id text NOT NULL,
    incident_id text NOT NULL,
    kind text NOT NULL,
    body text NOT NULL,
    attempts integer NOT NULL,
    due_at bigint NOT NULL,
    done_at bigint,
    refused boolean NOT NULL,
    error text,
    claimed_by text,
    claimed_until bigint
);
CREATE SEQUENCE public.tickets_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tickets_seq_seq OWNED BY public.tickets.seq;
CREATE TABLE public.turns (
    name text NOT NULL,
    owner text NOT NULL,
    until bigint NOT NULL
);
CREATE TABLE public.work (
    incident_id text NOT NULL,
    episode integer NOT NULL,
    service text NOT NULL,
    rank integer NOT NULL,
    opened_at bigint NOT NULL,
    due_at bigint,
    timer text,
    woken_by text NOT NULL,
    wakes integer NOT NULL,
    wakes_seen integer NOT NULL,
    seen_at bigint NOT NULL,
    lease_owner text,
    lease_until bigint,
    token bigint NOT NULL,
    attempts integer NOT NULL,
    last_error text,
    ready boolean DEFAULT false NOT NULL
);
ALTER TABLE ONLY public.approvals ALTER COLUMN id SET DEFAULT nextval('public.approvals_id_seq'::regclass);
ALTER TABLE ONLY public.inbox ALTER COLUMN seq SET DEFAULT nextval('public.inbox_seq_seq'::regclass);
ALTER TABLE ONLY public.incident_alerts ALTER COLUMN "position" SET DEFAULT nextval('public.incident_alerts_position_seq'::regclass);
ALTER TABLE ONLY public.records ALTER COLUMN seq SET DEFAULT nextval('public.records_seq_seq'::regclass);
ALTER TABLE ONLY public.tickets ALTER COLUMN seq SET DEFAULT nextval('public.tickets_seq_seq'::regclass);
INSERT INTO public.approvals VALUES (1, '4abad599-2781-59c3-9105-0b7a4a2ef300', 1, 'p1', 1772366402123456, 1772366499123456, NULL, '', '', NULL);
INSERT INTO public.automation VALUES (1, true, 'ann', 'maintenance', 1772366408123456);
INSERT INTO public.effects VALUES ('effect-1', '4abad599-2781-59c3-9105-0b7a4a2ef300', 1, 0, 'restart_container', 'payments', 'payments', 'restart-leak', '{"id":"c0ffee","restart_count":2,"started_at":null}', 1772366400123456, 'succeeded', 1772366402123456, 'restarted');
INSERT INTO public.endings VALUES ('4abad599-2781-59c3-9105-0b7a4a2ef300', 1, 'payments', 'resolved', 'fixed', NULL, 'fixed', 1772366405123456);
INSERT INTO public.heartbeat VALUES (1, 1);
INSERT INTO public.inbox VALUES (1, 'event-1', '{"schema":1,"event_id":"event-1","source":"grafana","fingerprint":"fp-payments","status":"firing","labels":{"alertname":"HighMemory","service":"payments"},"annotations":{},"startsAt":"2026-03-01T12:00:00.123456Z","endsAt":null,"generatorURL":"","received_at":"2026-03-01T12:00:00.123456Z","agent_action":"investigate","runbook_id":null,"escalate_threshold":0.7,"tier":"autonomous","severity":"critical","service":"payments","values":null,"group_key":"","dashboardURL":"","panelURL":"","silenceURL":"","warnings":[]}', 'sre-critical', 1, 0, 1772366400123456, 1772366400123456, '{"disposition":"open","incident_id":"4abad599-2781-59c3-9105-0b7a4a2ef300","all_resolved":false,"why":""}', 'open', '4abad599-2781-59c3-9105-0b7a4a2ef300');
INSERT INTO public.inbox VALUES (2, 'event-2', '{"schema":1,"event_id":"event-2","source":"grafana","fingerprint":"fp-cart","status":"firing","labels":{"alertname":"HighMemory","service":"cart"},"annotations":{},"startsAt":"2026-03-01T12:00:06.123456Z","endsAt":null,"generatorURL":"","received_at":"2026-03-01T12:00:00.123456Z","agent_action":"investigate","runbook_id":null,"escalate_threshold":0.7,"tier":"autonomous","severity":"warning","service":"cart","values":null,"group_key":"","dashboardURL":"","panelURL":"","silenceURL":"","warnings":[]}', NULL, NULL, NULL, 1772366406123456, 1772366406123456, '{"disposition":"open","incident_id":"87192eb9-b481-5c12-be63-23f60d3d10c4","all_resolved":false,"why":""}', 'open', '87192eb9-b481-5c12-be63-23f60d3d10c4');
INSERT INTO public.inbox VALUES (3, '6fa7d5be-4696-4829-80fc-c7bbfe147263', '{"schema":1,"event_id":"6fa7d5be-4696-4829-80fc-c7bbfe147263","source":"grafana","fingerprint":"fp-search","status":"firing","labels":{"alertname":"HighMemory","service":"search"},"annotations":{},"startsAt":"2026-03-01T12:00:07.123456Z","endsAt":null,"generatorURL":"","received_at":"2026-03-01T12:00:00.123456Z","agent_action":"investigate","runbook_id":null,"escalate_threshold":0.7,"tier":"autonomous","severity":"critical","service":"search","values":null,"group_key":"","dashboardURL":"","panelURL":"","silenceURL":"","warnings":[]}', NULL, NULL, NULL, 1772366407123456, 1772366407123456, '{"disposition":"open","incident_id":"bea2cf11-e05a-58f4-96b2-58b8741bfb46","all_resolved":false,"why":""}', 'open', 'bea2cf11-e05a-58f4-96b2-58b8741bfb46');
INSERT INTO public.incident_alerts VALUES (1, '4abad599-2781-59c3-9105-0b7a4a2ef300', 'fp-payments', 1772366400123456, NULL, true, 'event-1');
INSERT INTO public.incident_alerts VALUES (2, '87192eb9-b481-5c12-be63-23f60d3d10c4', 'fp-cart', 1772366406123456, NULL, true, 'event-2');
INSERT INTO public.incident_alerts VALUES (3, 'bea2cf11-e05a-58f4-96b2-58b8741bfb46', 'fp-search', 1772366407123456, NULL, true, '6fa7d5be-4696-4829-80fc-c7bbfe147263');
INSERT INTO public.incidents VALUES ('4abad599-2781-59c3-9105-0b7a4a2ef300', 1, 'resolved', 'fixed', NULL, 'payments', 'HighMemory', 'critical', 'autonomous', 1, 1772366400123456, 1772366400123456, 1772366405123456, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'fixed', '{"iid":7,"url":"http://gitlab/7"}', NULL, true, NULL, 0, NULL);
INSERT INTO public.incidents VALUES ('87192eb9-b481-5c12-be63-23f60d3d10c4', 1, 'investigating', NULL, NULL, 'cart', 'HighMemory', 'warning', 'autonomous', 1, 1772366406123456, 1772366406123456, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, true, NULL, 0, NULL);
INSERT INTO public.incidents VALUES ('bea2cf11-e05a-58f4-96b2-58b8741bfb46', 1, 'investigating', NULL, NULL, 'search', 'HighMemory', 'critical', 'autonomous', 1, 1772366407123456, 1772366407123456, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, true, NULL, 0, NULL);
INSERT INTO public.model_calls VALUES ('call-1', '4abad599-2781-59c3-9105-0b7a4a2ef300', 'claude', 1772366409123456, 'answered', 900, 0, 0, 120, 4500, 2500000);
INSERT INTO public.records VALUES (3, '4abad599-2781-59c3-9105-0b7a4a2ef300', 'action', 1772366402123456, '{"action":"restart_container","phase":"outcome","target":"payments","by":"sreops","detail":"restarted","data":{"effect_id":"effect-1","episode":1,"step":0,"outcome":"succeeded"}}', 'cb8b748e4859eae3c4b9bd5780aa82712cd3bb4ad0786b087d46b56becbf0cd8', '7cb1b3110c295a09d2e332daf247594c8f15fae44a6bbdacac3330a5838442bb', false);
INSERT INTO public.records VALUES (4, '4abad599-2781-59c3-9105-0b7a4a2ef300', 'thought', 1772366403123456, '{"node":"n","text":"tells","data":{}}', NULL, NULL, false);
INSERT INTO public.records VALUES (1, '4abad599-2781-59c3-9105-0b7a4a2ef300', 'thought', 1772366400123456, '{"node":"correlate","text":"Alert HighMemory opened this incident","data":{"event_id":"event-1","disposition":"open","fingerprint":"fp-payments","starts_at":"2026-03-01T12:00:00.123456+00:00"}}', NULL, NULL, true);
INSERT INTO public.records VALUES (2, '4abad599-2781-59c3-9105-0b7a4a2ef300', 'action', 1772366401123456, '{"action":"restart_container","phase":"intent","target":"payments","by":"sreops","detail":"","data":{"effect_id":"effect-1","episode":1,"step":0,"snapshot":{"id":"c0ffee","restart_count":2,"started_at":null},"runbook_id":"restart-leak"}}', NULL, 'cb8b748e4859eae3c4b9bd5780aa82712cd3bb4ad0786b087d46b56becbf0cd8', true);
INSERT INTO public.records VALUES (5, '87192eb9-b481-5c12-be63-23f60d3d10c4', 'thought', 1772366406123456, '{"node":"correlate","text":"Alert HighMemory opened this incident","data":{"event_id":"event-2","disposition":"open","fingerprint":"fp-cart","starts_at":"2026-03-01T12:00:06.123456+00:00"}}', NULL, NULL, false);
INSERT INTO public.records VALUES (6, 'bea2cf11-e05a-58f4-96b2-58b8741bfb46', 'thought', 1772366407123456, '{"node":"correlate","text":"Alert HighMemory opened this incident","data":{"event_id":"6fa7d5be-4696-4829-80fc-c7bbfe147263","disposition":"open","fingerprint":"fp-search","starts_at":"2026-03-01T12:00:07.123456+00:00"}}', NULL, NULL, false);
INSERT INTO public.records VALUES (7, 'automation', 'action', 1772366408123456, '{"action":"pause_automation","phase":"decision","target":"automation","by":"ann","detail":"maintenance","data":{}}', NULL, '78d77eb888417ab53ece71130157acb1c09ad89e53e044df818b427697140f56', false);
INSERT INTO public.schema_version VALUES (1, 1795406903975602);
INSERT INTO public.schema_version VALUES (2, 1772366400123456);
INSERT INTO public.schema_version VALUES (3, 1772366409123456);
INSERT INTO public.schema_version VALUES (4, 1772366410123456);
INSERT INTO public.tickets VALUES (1, '4abad599-2781-59c3-9105-0b7a4a2ef300:create', '4abad599-2781-59c3-9105-0b7a4a2ef300', 'create', '{"title":"t","description":"d","labels":["sreops"],"severity":"critical"}', 0, 1772366403123456, 1772366403123456, false, NULL, NULL, NULL);
INSERT INTO public.tickets VALUES (2, '4abad599-2781-59c3-9105-0b7a4a2ef300:1:note', '4abad599-2781-59c3-9105-0b7a4a2ef300', 'note', '{"note":"still to be sent"}', 0, 1772366404123456, NULL, false, NULL, 'gone', 1772366401123456);
INSERT INTO public.turns VALUES ('copies', 'gone', 1772366401123456);
INSERT INTO public.work VALUES ('4abad599-2781-59c3-9105-0b7a4a2ef300', 1, 'payments', 0, 1772366400123456, NULL, NULL, 'start', 0, 0, 1772366400123456, NULL, NULL, 1, 0, NULL, false);
INSERT INTO public.work VALUES ('87192eb9-b481-5c12-be63-23f60d3d10c4', 1, 'cart', 1, 1772366406123456, 1772366406123456, NULL, 'start', 0, 0, 1772366407123456, 'w1', 1772366437123456, 1, 0, NULL, false);
INSERT INTO public.work VALUES ('bea2cf11-e05a-58f4-96b2-58b8741bfb46', 1, 'search', 0, 1772366407123456, 1772367000123456, 'settle', 'timer', 0, 0, 1772366407123456, NULL, NULL, 1, 0, NULL, false);
SELECT pg_catalog.setval('public.approvals_id_seq', 1, true);
SELECT pg_catalog.setval('public.inbox_seq_seq', 3, true);
SELECT pg_catalog.setval('public.incident_alerts_position_seq', 3, true);
SELECT pg_catalog.setval('public.records_seq_seq', 7, true);
SELECT pg_catalog.setval('public.tickets_seq_seq', 2, true);
ALTER TABLE ONLY public.approvals
    ADD CONSTRAINT approvals_incident_id_episode_plan_hash_key UNIQUE (incident_id, episode, plan_hash);
ALTER TABLE ONLY public.approvals
    ADD CONSTRAINT approvals_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.automation
    ADD CONSTRAINT automation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.effects
    ADD CONSTRAINT effects_incident_id_episode_step_key UNIQUE (incident_id, episode, step);
ALTER TABLE ONLY public.effects
    ADD CONSTRAINT effects_pkey PRIMARY KEY (effect_id);
ALTER TABLE ONLY public.endings
    ADD CONSTRAINT endings_pkey PRIMARY KEY (incident_id, episode);
ALTER TABLE ONLY public.evidence
    ADD CONSTRAINT evidence_pkey PRIMARY KEY (incident_id, id);
ALTER TABLE ONLY public.heartbeat
    ADD CONSTRAINT heartbeat_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_event_id_key UNIQUE (event_id);
ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.incident_alerts
    ADD CONSTRAINT incident_alerts_incident_id_fingerprint_key UNIQUE (incident_id, fingerprint);
ALTER TABLE ONLY public.incident_alerts
    ADD CONSTRAINT incident_alerts_pkey PRIMARY KEY ("position");
ALTER TABLE ONLY public.incidents
    ADD CONSTRAINT incidents_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.model_calls
    ADD CONSTRAINT model_calls_pkey PRIMARY KEY (call_id);
ALTER TABLE ONLY public.records
    ADD CONSTRAINT records_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_op_id_key UNIQUE (op_id);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.turns
    ADD CONSTRAINT turns_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.work
    ADD CONSTRAINT work_pkey PRIMARY KEY (incident_id);
CREATE INDEX ix_effects_runbook ON public.effects USING btree (runbook_id);
CREATE INDEX ix_effects_service ON public.effects USING btree (service, intent_at);
CREATE INDEX ix_effects_target ON public.effects USING btree (target, intent_at);
CREATE INDEX ix_endings_service ON public.endings USING btree (service, ended_at);
CREATE INDEX ix_inbox_incident ON public.inbox USING btree (incident_id, seq);
CREATE INDEX ix_inbox_uncorrelated ON public.inbox USING btree (correlated_at, seq);
CREATE INDEX ix_incident_alerts_fingerprint ON public.incident_alerts USING btree (fingerprint);
CREATE INDEX ix_incidents_ended ON public.incidents USING btree (ended_at);
CREATE INDEX ix_incidents_newest ON public.incidents USING btree (opened_at, id);
CREATE INDEX ix_incidents_service ON public.incidents USING btree (service, ended_at);
CREATE INDEX ix_incidents_status ON public.incidents USING btree (status, opened_at);
CREATE INDEX ix_model_calls_at ON public.model_calls USING btree (at);
CREATE INDEX ix_model_calls_incident ON public.model_calls USING btree (incident_id);
CREATE INDEX ix_records_incident ON public.records USING btree (incident_id, kind, seq);
CREATE INDEX ix_records_unpublished ON public.records USING btree (published, seq);
CREATE INDEX ix_tickets_incident ON public.tickets USING btree (incident_id, kind);
CREATE INDEX ix_tickets_undone ON public.tickets USING btree (done_at, incident_id, seq);
CREATE INDEX ix_work_due ON public.work USING btree (due_at);
CREATE INDEX ix_work_leased ON public.work USING btree (lease_until);
CREATE INDEX ix_work_ready ON public.work USING btree (rank, opened_at, incident_id) WHERE ready;
CREATE INDEX ix_work_sleeping ON public.work USING btree (due_at) WHERE (NOT ready);
ALTER TABLE ONLY public.approvals
    ADD CONSTRAINT approvals_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES public.incidents(id);
ALTER TABLE ONLY public.effects
    ADD CONSTRAINT effects_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES public.incidents(id);
ALTER TABLE ONLY public.endings
    ADD CONSTRAINT endings_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES public.incidents(id);
ALTER TABLE ONLY public.evidence
    ADD CONSTRAINT evidence_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES public.incidents(id);
ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES public.incidents(id);
ALTER TABLE ONLY public.incident_alerts
    ADD CONSTRAINT incident_alerts_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES public.incidents(id);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES public.incidents(id);
ALTER TABLE ONLY public.work
    ADD CONSTRAINT work_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES public.incidents(id);
