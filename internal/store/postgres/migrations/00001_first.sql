-- The first schema. Times are Unix milliseconds, 0 = never; lists and maps are
-- JSON text, as in the embedded store, so that moving from one to the other
-- copies values. States are words, because an operator with psql and an
-- incident should not need a table of numbers. Text is compared by bytes.
--
-- Columns that a refresh writes (generation, move*, refresh_*, last_used_at,
-- the policy) stand in no index: a move stays on its page (HOT), for which the
-- fill factor leaves room.

-- +goose Up

-- Nodes that start together migrate one after the other. The lock ends with
-- the transaction, however that ends, so it also works through pgbouncer.
SELECT pg_advisory_xact_lock(8295757104918097509);

CREATE TABLE meta (
    name  text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- The oldest schema number whose binary may still work on this store. A
-- migration that the previous binary cannot live with raises it.
INSERT INTO meta (name, value) VALUES ('schema_usable_since', '1');

-- The number of the last fact, and the timeline of the server that it was
-- given on. Who adds facts locks the row until commit, so numbers rise in
-- commit order. Nothing is locked after it.
CREATE TABLE fact_counter (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    last     bigint NOT NULL,
    timeline bigint NOT NULL
) WITH (fillfactor = 10);

INSERT INTO fact_counter (last, timeline) VALUES (0, 0);

-- Where purging goes on looking for ended sessions: a page of the table.
CREATE TABLE purge_cursor (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    page bigint NOT NULL
) WITH (fillfactor = 10);

INSERT INTO purge_cursor (page) VALUES (0);

CREATE TABLE nodes (
    id         text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,   -- host and process, for people
    version    text NOT NULL,
    serves     text NOT NULL,   -- JSON: hashes of what should be the same on all nodes
    started_at bigint NOT NULL, -- by the node's clock
    clock      bigint NOT NULL, -- the node's clock at seen_at
    seen_at    bigint NOT NULL  -- by the database's clock
) WITH (fillfactor = 50);

-- What one node at a time does, and until when it is that node's turn, by the
-- database's clock.
CREATE TABLE leases (
    name       text COLLATE "C" PRIMARY KEY,
    node       text NOT NULL,
    held_until bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE issuers (
    number     bigint PRIMARY KEY,
    issuer     text COLLATE "C" NOT NULL UNIQUE,
    created_at bigint NOT NULL
);

CREATE TABLE mounts (
    id            text COLLATE "C" PRIMARY KEY,
    contract      text NOT NULL,
    host          text NOT NULL,
    prefix        text NOT NULL,
    account       text NOT NULL,
    first_seen_at bigint NOT NULL,
    seen_at       bigint NOT NULL
);

CREATE TABLE accounts (
    id         text COLLATE "C" PRIMARY KEY,
    shortname  text COLLATE "C" NOT NULL UNIQUE,
    state      text COLLATE "C" NOT NULL CHECK (state IN ('active', 'disabled', 'deleted')),
    version    bigint NOT NULL,
    -- number of the last fact on the account: sessions of an earlier epoch are over
    ended_fact bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL
);

CREATE INDEX accounts_ended ON accounts (ended_fact) WHERE ended_fact > 0;

CREATE TABLE users (
    id              text COLLATE "C" PRIMARY KEY,
    account         text COLLATE "C" NOT NULL REFERENCES accounts (id),
    type            text COLLATE "C" NOT NULL CHECK (type IN ('user', 'application')),
    state           text COLLATE "C" NOT NULL CHECK (state IN ('active', 'disabled', 'deleted')),
    username        text NOT NULL,
    username_canon  text COLLATE "C" NOT NULL,
    email           text NOT NULL,
    email_canon     text COLLATE "C" NOT NULL,
    email_verified  boolean NOT NULL,
    roles           text NOT NULL,
    attributes      text NOT NULL,
    password_hash   text COLLATE "C" NOT NULL,
    -- format and cost, the hash without salt and digest: to find one of each
    password_format text COLLATE "C" NOT NULL,
    version         bigint NOT NULL,
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL,
    password_at     bigint NOT NULL,
    last_login_at   bigint NOT NULL,
    last_login_from text NOT NULL,
    -- ever had an application token: its names stay reserved for ever
    had_app_token   boolean NOT NULL DEFAULT false
) WITH (fillfactor = 85);

CREATE INDEX users_by_format ON users (password_format) WHERE password_format <> '';
CREATE INDEX users_by_name ON users (account, username_canon) WHERE state <> 'deleted';

-- One namespace for user names and e-mail addresses. A row without
-- reserved_until is in use; a reserved one belongs to nobody but its last owner.
CREATE TABLE login_names (
    account        text COLLATE "C" NOT NULL,
    name           text COLLATE "C" NOT NULL,
    user_id        text COLLATE "C" NOT NULL REFERENCES users (id),
    reserved_until bigint, -- NULL = in use; the largest integer = for ever
    PRIMARY KEY (account, name)
);

CREATE INDEX login_names_reserved ON login_names (reserved_until) WHERE reserved_until IS NOT NULL;

CREATE TABLE known_networks (
    user_id   text COLLATE "C" NOT NULL,
    network   text COLLATE "C" NOT NULL,
    last_used bigint NOT NULL,
    PRIMARY KEY (user_id, network)
);

CREATE INDEX known_networks_by_use ON known_networks (last_used);

-- Attempt budgets (see package limit): network '' is the strangers' budget.
CREATE TABLE attempts (
    key     uuid NOT NULL,
    network text COLLATE "C" NOT NULL,
    tat     bigint NOT NULL,
    PRIMARY KEY (key, network)
);

CREATE INDEX attempts_by_tat ON attempts (tat);

CREATE TABLE sessions (
    key             uuid PRIMARY KEY,
    epoch           bigint NOT NULL,
    issuer          bigint NOT NULL,
    generation      bigint NOT NULL,
    move0           bigint NOT NULL,
    move1           bigint NOT NULL,
    move2           bigint NOT NULL,
    move3           bigint NOT NULL,
    refresh_expires bigint NOT NULL,
    created_at      bigint NOT NULL,
    last_used_at    bigint NOT NULL,
    grace_ms        bigint NOT NULL,
    idle_ms         bigint NOT NULL,
    absolute_ms     bigint NOT NULL,
    revoked_at      bigint NOT NULL,
    status          bigint NOT NULL,
    rotates         boolean NOT NULL,
    subject_kind    text COLLATE "C" NOT NULL CHECK (subject_kind IN ('user', 'apikey')),
    mount           text COLLATE "C" NOT NULL,
    account         text COLLATE "C" NOT NULL,
    subject         text COLLATE "C" NOT NULL,
    refresh_key     text COLLATE "C" NOT NULL,
    credential      text NOT NULL,
    login_name      text NOT NULL,
    revoked_reason  text NOT NULL,
    address         text NOT NULL,
    user_agent      text NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.1);

-- Only of sessions not revoked: what looks for sessions looks for these, and
-- ending those of a large account in parts must not walk over the parts done.
CREATE INDEX sessions_by_subject ON sessions (subject, created_at) WHERE revoked_at = 0;
CREATE INDEX sessions_by_account ON sessions (account, created_at) WHERE revoked_at = 0;
CREATE INDEX sessions_by_time ON sessions (created_at) WHERE revoked_at = 0;
-- All that a status list needs to know of a session. No refresh writes any of it.
CREATE INDEX sessions_by_status ON sessions (status, revoked_at, epoch) WHERE status > 0;

CREATE TABLE app_tokens (
    id         text COLLATE "C" PRIMARY KEY,
    hash       bytea NOT NULL UNIQUE,
    user_id    text COLLATE "C" NOT NULL REFERENCES users (id),
    account    text COLLATE "C" NOT NULL,
    mount      text COLLATE "C" NOT NULL,
    session    text COLLATE "C" NOT NULL,
    label      text NOT NULL,
    networks   text NOT NULL,
    scopes     text NOT NULL,
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    last_used  bigint NOT NULL,
    last_from  text NOT NULL,
    revoked_at bigint NOT NULL,
    suspended  boolean NOT NULL,
    status     bigint NOT NULL
) WITH (fillfactor = 85);

CREATE INDEX app_tokens_by_user ON app_tokens (user_id, created_at);
CREATE INDEX app_tokens_by_account ON app_tokens (account);
CREATE INDEX app_tokens_by_time ON app_tokens (created_at);
CREATE INDEX app_tokens_by_status ON app_tokens (status) WHERE status > 0;
CREATE INDEX app_tokens_revoked ON app_tokens (revoked_at) WHERE revoked_at > 0;

CREATE TABLE api_keys (
    id          text COLLATE "C" PRIMARY KEY,
    account     text COLLATE "C" NOT NULL REFERENCES accounts (id),
    app_name    text COLLATE "C" NOT NULL,
    app_key     text NOT NULL,
    description text NOT NULL,
    roles       text NOT NULL,
    state       text COLLATE "C" NOT NULL CHECK (state IN ('active', 'disabled', 'deleted')),
    version     bigint NOT NULL,
    owner       text COLLATE "C" NOT NULL,
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL,
    last_login  bigint NOT NULL,
    last_from   text NOT NULL
) WITH (fillfactor = 85);

CREATE UNIQUE INDEX api_keys_by_name ON api_keys (account, app_name) WHERE state <> 'deleted';
CREATE INDEX api_keys_by_owner ON api_keys (owner) WHERE owner <> '';

CREATE TABLE api_secrets (
    key        text COLLATE "C" NOT NULL REFERENCES api_keys (id),
    number     bigint NOT NULL,
    sealed     bytea NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (key, number)
);

CREATE TABLE request_tokens (
    hash           bytea PRIMARY KEY,
    address        text NOT NULL,
    accepted_at    bigint NOT NULL,
    remember_until bigint NOT NULL,
    session        uuid NOT NULL
);

CREATE INDEX request_tokens_by_end ON request_tokens (remember_until);

CREATE TABLE facts (
    number   bigint PRIMARY KEY,
    kind     text COLLATE "C" NOT NULL,
    subject  text COLLATE "C" NOT NULL,
    spare    text COLLATE "C" NOT NULL,
    reason   text NOT NULL,
    at       bigint NOT NULL,
    purge_at bigint NOT NULL
);

CREATE INDEX facts_by_purge ON facts (purge_at) WHERE purge_at > 0;
CREATE INDEX facts_by_token ON facts (subject) WHERE kind = 'token';
CREATE INDEX facts_on_everything ON facts (number) WHERE kind = 'everything';

-- Numbers of token status lists: the next of each space, the blocks that nodes
-- hand out now, the numbers taken from sessions that live on under others, and
-- the lists of 65,536 numbers with their versions.
CREATE TABLE status_counters (
    space       text COLLATE "C" PRIMARY KEY CHECK (space IN ('sessions', 'tokens')),
    next        bigint NOT NULL,
    incarnation text NOT NULL
);

INSERT INTO status_counters (space, next, incarnation) VALUES ('sessions', 1, ''), ('tokens', 1, '');

CREATE TABLE status_blocks (
    space       text COLLATE "C" NOT NULL,
    first       bigint NOT NULL,
    count       bigint NOT NULL,
    reserved_at bigint NOT NULL,
    PRIMARY KEY (space, first)
);

CREATE INDEX status_blocks_by_time ON status_blocks (reserved_at);

CREATE TABLE status_burnt (
    number bigint PRIMARY KEY,
    at     bigint NOT NULL
);

CREATE TABLE status_lists (
    space   text COLLATE "C" NOT NULL,
    list    bigint NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (space, list)
) WITH (fillfactor = 50);

-- An event is written with what it tells of, without a place in its node's
-- chain: a place would have to be locked until commit, and every login of a
-- node wait for the one before. It gets sequence and hash within a second.
CREATE TABLE audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node       text COLLATE "C" NOT NULL,
    sequence   bigint,
    at         bigint NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    actor      text NOT NULL,
    account    text NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    session    text NOT NULL,
    mount      text NOT NULL,
    address    text NOT NULL,
    request_id text NOT NULL,
    detail     text NOT NULL,
    prev_hash  bytea,
    hash       bytea
) WITH (fillfactor = 85);

CREATE UNIQUE INDEX audit_chain ON audit (node, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX audit_loose ON audit (node, id) WHERE sequence IS NULL;
CREATE INDEX audit_by_subject ON audit (subject, node, sequence) WHERE subject <> '';

CREATE TABLE audit_heads (
    node     text COLLATE "C" PRIMARY KEY,
    sequence bigint NOT NULL,
    hash     bytea NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE signing_keys (
    id           text COLLATE "C" PRIMARY KEY,
    mount        text COLLATE "C" NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    class        text NOT NULL,
    algorithm    text NOT NULL,
    state        text COLLATE "C" NOT NULL CHECK (state IN ('next', 'active', 'verify-only', 'dropped')),
    sealed       bytea,
    public       bytea,
    master_key   text NOT NULL,
    created_at   bigint NOT NULL,
    activated_at bigint NOT NULL,
    retired_at   bigint NOT NULL,
    dropped_at   bigint NOT NULL
);

-- Two nodes, or two starts, that make a set's first key at once make one.
CREATE UNIQUE INDEX signing_keys_active ON signing_keys (mount, kind) WHERE state = 'active';

CREATE TABLE oauth_clients (
    id              text COLLATE "C" PRIMARY KEY,
    account         text COLLATE "C" NOT NULL REFERENCES accounts (id),
    name            text NOT NULL,
    type            text NOT NULL CHECK (type IN ('confidential', 'public')),
    auth            text NOT NULL,
    secrets         text NOT NULL, -- numbers, SHA-256, times
    jwks            text NOT NULL,
    redirect_uris   text NOT NULL,
    logout_uris     text NOT NULL,
    grants          text NOT NULL,
    scopes          text NOT NULL,
    audiences       text NOT NULL,
    id_token_alg    text NOT NULL,
    require_consent boolean NOT NULL,
    introspect_all  boolean NOT NULL,
    access_ms       bigint NOT NULL,
    refresh_idle_ms bigint NOT NULL,
    session_ms      bigint NOT NULL,
    state           text COLLATE "C" NOT NULL CHECK (state IN ('active', 'disabled', 'deleted')),
    version         bigint NOT NULL,
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL
);

CREATE INDEX oauth_clients_by_account ON oauth_clients (account, id) WHERE state <> 'deleted';

CREATE TABLE oauth_codes (
    hash            bytea PRIMARY KEY,
    client          text COLLATE "C" NOT NULL,
    client_version  bigint NOT NULL,
    redirect_uri    text NOT NULL,
    challenge       text NOT NULL,
    nonce           text NOT NULL,
    scope           text NOT NULL,
    audience        text NOT NULL,
    subject         text COLLATE "C" NOT NULL,
    subject_version bigint NOT NULL,
    account         text NOT NULL,
    account_version bigint NOT NULL,
    auth_time       bigint NOT NULL,
    browser         text NOT NULL,
    login_name      text NOT NULL,
    created_at      bigint NOT NULL,
    expires_at      bigint NOT NULL,
    used_at         bigint NOT NULL,
    session         uuid NOT NULL
);

CREATE INDEX oauth_codes_by_end ON oauth_codes (expires_at);
CREATE INDEX oauth_codes_unused ON oauth_codes (subject, client) WHERE used_at = 0;

-- What an OAuth session was granted stands beside its row, not in it: the row
-- is rewritten by every refresh and stays small, the grant never changes.
CREATE TABLE oauth_sessions (
    key       uuid PRIMARY KEY REFERENCES sessions (key) ON DELETE CASCADE,
    client    text COLLATE "C" NOT NULL,
    scope     text NOT NULL,
    audience  text NOT NULL,
    auth_time bigint NOT NULL,
    nonce     text NOT NULL,
    browser   text COLLATE "C" NOT NULL
);

CREATE INDEX oauth_sessions_by_client ON oauth_sessions (client);
CREATE INDEX oauth_sessions_by_browser ON oauth_sessions (browser) WHERE browser <> '';

CREATE TABLE oauth_consents (
    user_id    text COLLATE "C" NOT NULL,
    client     text COLLATE "C" NOT NULL,
    scope      text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (user_id, client)
);

CREATE INDEX oauth_consents_by_client ON oauth_consents (client);

-- Assertions that were accepted (RFC 7523): the hash of issuer and jti.
CREATE TABLE oauth_assertions (
    hash           bytea PRIMARY KEY,
    remember_until bigint NOT NULL
);

CREATE INDEX oauth_assertions_by_end ON oauth_assertions (remember_until);

-- +goose Down

DROP TABLE oauth_assertions, oauth_consents, oauth_sessions, oauth_codes, oauth_clients, signing_keys, audit_heads, audit,
    status_lists, status_burnt, status_blocks, status_counters, facts, request_tokens, api_secrets, api_keys, app_tokens, sessions, attempts,
    known_networks, login_names, users, accounts, mounts, issuers, leases, nodes, purge_cursor, fact_counter, meta;
