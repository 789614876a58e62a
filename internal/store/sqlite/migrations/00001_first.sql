-- The first schema. Times are Unix milliseconds, 0 = never; lists and maps are
-- JSON text. States are words, because an operator with the sqlite3 shell and
-- an incident should not need a table of numbers.
--
-- Columns that a refresh writes (generation, move*, refresh_*, last_used_at,
-- the policy) stand in no index: a move dirties one page.

-- +goose Up

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The oldest schema number whose binary may still work on this store. A
-- migration that the previous binary cannot live with raises it.
INSERT INTO meta (name, value) VALUES ('schema_usable_since', '1');

CREATE TABLE issuers (
    number     INTEGER PRIMARY KEY,
    issuer     TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE mounts (
    id            TEXT NOT NULL PRIMARY KEY,
    contract      TEXT NOT NULL,
    host          TEXT NOT NULL,
    prefix        TEXT NOT NULL,
    account       TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    id         TEXT NOT NULL PRIMARY KEY,
    shortname  TEXT NOT NULL UNIQUE,
    state      TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'deleted')),
    version    INTEGER NOT NULL,
    -- number of the last fact on the account: sessions of an earlier epoch are over
    ended_fact INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id              TEXT NOT NULL PRIMARY KEY,
    account         TEXT NOT NULL REFERENCES accounts (id),
    type            TEXT NOT NULL CHECK (type IN ('user', 'application')),
    state           TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'deleted')),
    username        TEXT NOT NULL,
    username_canon  TEXT NOT NULL,
    email           TEXT NOT NULL,
    email_canon     TEXT NOT NULL,
    email_verified  INTEGER NOT NULL CHECK (email_verified IN (0, 1)),
    roles           TEXT NOT NULL,
    attributes      BLOB NOT NULL,
    password_hash   TEXT NOT NULL,
    -- format and cost, the hash without salt and digest: to find one of each
    password_format TEXT NOT NULL,
    version         INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    password_at     INTEGER NOT NULL,
    last_login_at   INTEGER NOT NULL,
    last_login_from TEXT NOT NULL,
    -- ever had an application token: its names stay reserved for ever
    had_app_token   INTEGER NOT NULL DEFAULT 0 CHECK (had_app_token IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX users_by_format ON users (password_format) WHERE password_format <> '';
CREATE INDEX users_by_name ON users (account, username_canon) WHERE state <> 'deleted';

-- One namespace for user names and e-mail addresses. A row without
-- reserved_until is in use; a reserved one belongs to nobody but its last owner.
CREATE TABLE login_names (
    account        TEXT NOT NULL,
    name           TEXT NOT NULL,
    user           TEXT NOT NULL REFERENCES users (id),
    reserved_until INTEGER, -- NULL = in use; the largest integer = for ever
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX login_names_reserved ON login_names (reserved_until) WHERE reserved_until IS NOT NULL;

CREATE TABLE known_networks (
    user      TEXT NOT NULL,
    network   TEXT NOT NULL,
    last_used INTEGER NOT NULL,
    PRIMARY KEY (user, network)
) STRICT, WITHOUT ROWID;

CREATE INDEX known_networks_by_use ON known_networks (last_used);

-- Attempt budgets (see package limit): network '' is the strangers' budget.
CREATE TABLE attempts (
    key     BLOB NOT NULL,
    network TEXT NOT NULL,
    tat     INTEGER NOT NULL,
    PRIMARY KEY (key, network)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_by_tat ON attempts (tat);

-- With rowids, unlike its neighbours: rows are long, and measured on 2 cores a
-- refresh costs a fifth less CPU this way, at 1,000 and at 100,000 rows.
CREATE TABLE sessions (
    key             BLOB NOT NULL PRIMARY KEY,
    epoch           INTEGER NOT NULL,
    mount           TEXT NOT NULL,
    account         TEXT NOT NULL,
    subject_kind    TEXT NOT NULL CHECK (subject_kind IN ('user', 'apikey')),
    subject         TEXT NOT NULL,
    credential      TEXT NOT NULL,
    login_name      TEXT NOT NULL,
    issuer          INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    move0           INTEGER NOT NULL,
    move1           INTEGER NOT NULL,
    move2           INTEGER NOT NULL,
    move3           INTEGER NOT NULL,
    refresh_key     TEXT NOT NULL,
    refresh_expires INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    last_used_at    INTEGER NOT NULL,
    rotates         INTEGER NOT NULL CHECK (rotates IN (0, 1)),
    grace_ms        INTEGER NOT NULL,
    idle_ms         INTEGER NOT NULL,
    absolute_ms     INTEGER NOT NULL,
    revoked_at      INTEGER NOT NULL,
    revoked_reason  TEXT NOT NULL,
    address         TEXT NOT NULL,
    user_agent      TEXT NOT NULL
) STRICT;

-- Only of sessions not revoked: what looks for sessions looks for these, and
-- ending those of a large account in parts must not walk over the parts done.
CREATE INDEX sessions_by_subject ON sessions (subject, created_at) WHERE revoked_at = 0;
CREATE INDEX sessions_by_account ON sessions (account, created_at) WHERE revoked_at = 0;
CREATE INDEX sessions_by_time ON sessions (created_at) WHERE revoked_at = 0;

CREATE TABLE app_tokens (
    id         TEXT NOT NULL PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    user       TEXT NOT NULL REFERENCES users (id),
    account    TEXT NOT NULL,
    mount      TEXT NOT NULL,
    session    TEXT NOT NULL,
    label      TEXT NOT NULL,
    networks   TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    last_used  INTEGER NOT NULL,
    last_from  TEXT NOT NULL,
    revoked_at INTEGER NOT NULL,
    suspended  INTEGER NOT NULL CHECK (suspended IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX app_tokens_by_user ON app_tokens (user, created_at);
CREATE INDEX app_tokens_by_time ON app_tokens (created_at);
CREATE INDEX app_tokens_revoked ON app_tokens (revoked_at) WHERE revoked_at > 0;

CREATE TABLE api_keys (
    id          TEXT NOT NULL PRIMARY KEY,
    account     TEXT NOT NULL REFERENCES accounts (id),
    app_name    TEXT NOT NULL,
    app_key     TEXT NOT NULL,
    description TEXT NOT NULL,
    roles       TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'deleted')),
    version     INTEGER NOT NULL,
    owner       TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    last_login  INTEGER NOT NULL,
    last_from   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX api_keys_by_name ON api_keys (account, app_name) WHERE state <> 'deleted';
CREATE INDEX api_keys_by_owner ON api_keys (owner) WHERE owner <> '';

CREATE TABLE api_secrets (
    key        TEXT NOT NULL REFERENCES api_keys (id),
    number     INTEGER NOT NULL,
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (key, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE request_tokens (
    hash           BLOB NOT NULL PRIMARY KEY,
    address        TEXT NOT NULL,
    accepted_at    INTEGER NOT NULL,
    remember_until INTEGER NOT NULL,
    session        BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX request_tokens_by_end ON request_tokens (remember_until);

-- AUTOINCREMENT: a number is never given twice, also after the rows that held
-- the highest ones were purged.
CREATE TABLE facts (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    spare    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    purge_at INTEGER NOT NULL
) STRICT;

CREATE INDEX facts_by_purge ON facts (purge_at) WHERE purge_at > 0;

CREATE TABLE audit (
    node       TEXT NOT NULL,
    sequence   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    actor      TEXT NOT NULL,
    account    TEXT NOT NULL,
    subject    TEXT NOT NULL,
    session    TEXT NOT NULL,
    mount      TEXT NOT NULL,
    address    TEXT NOT NULL,
    request_id TEXT NOT NULL,
    detail     TEXT NOT NULL,
    prev_hash  BLOB NOT NULL,
    hash       BLOB NOT NULL,
    PRIMARY KEY (node, sequence)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_by_subject ON audit (subject, node, sequence) WHERE subject <> '';

CREATE TABLE signing_keys (
    id           TEXT NOT NULL PRIMARY KEY,
    mount        TEXT NOT NULL,
    kind         TEXT NOT NULL,
    class        TEXT NOT NULL,
    algorithm    TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('next', 'active', 'verify-only', 'dropped')),
    sealed       BLOB,
    public       BLOB,
    master_key   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    activated_at INTEGER NOT NULL,
    retired_at   INTEGER NOT NULL,
    dropped_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Two nodes, or two starts, that make a set's first key at once make one.
CREATE UNIQUE INDEX signing_keys_active ON signing_keys (mount, kind) WHERE state = 'active';

-- +goose Down

DROP TABLE signing_keys;
DROP TABLE audit;
DROP TABLE facts;
DROP TABLE request_tokens;
DROP TABLE api_secrets;
DROP TABLE api_keys;
DROP TABLE app_tokens;
DROP TABLE sessions;
DROP TABLE attempts;
DROP TABLE known_networks;
DROP TABLE login_names;
DROP TABLE users;
DROP TABLE accounts;
DROP TABLE mounts;
DROP TABLE issuers;
DROP TABLE meta;
