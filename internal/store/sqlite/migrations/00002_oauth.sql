-- OAuth clients, codes, consents. Additions alone: the previous binary works
-- on a store that has them.
--
-- What an OAuth session was granted stands beside its row, not in it: the row
-- is rewritten by every refresh and stays small, the grant never changes.

-- +goose Up

CREATE TABLE oauth_clients (
    id              TEXT NOT NULL PRIMARY KEY,
    account         TEXT NOT NULL REFERENCES accounts (id),
    name            TEXT NOT NULL,
    type            TEXT NOT NULL CHECK (type IN ('confidential', 'public')),
    auth            TEXT NOT NULL,
    secrets         TEXT NOT NULL, -- numbers, SHA-256, times
    jwks            TEXT NOT NULL,
    redirect_uris   TEXT NOT NULL,
    logout_uris     TEXT NOT NULL,
    grants          TEXT NOT NULL,
    scopes          TEXT NOT NULL,
    audiences       TEXT NOT NULL,
    id_token_alg    TEXT NOT NULL,
    require_consent INTEGER NOT NULL CHECK (require_consent IN (0, 1)),
    introspect_all  INTEGER NOT NULL CHECK (introspect_all IN (0, 1)),
    access_ms       INTEGER NOT NULL,
    refresh_idle_ms INTEGER NOT NULL,
    session_ms      INTEGER NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'deleted')),
    version         INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX oauth_clients_by_account ON oauth_clients (account, id) WHERE state <> 'deleted';

CREATE TABLE oauth_codes (
    hash            BLOB NOT NULL PRIMARY KEY,
    client          TEXT NOT NULL,
    client_version  INTEGER NOT NULL,
    redirect_uri    TEXT NOT NULL,
    challenge       TEXT NOT NULL,
    nonce           TEXT NOT NULL,
    scope           TEXT NOT NULL,
    audience        TEXT NOT NULL,
    subject         TEXT NOT NULL,
    subject_version INTEGER NOT NULL,
    account         TEXT NOT NULL,
    account_version INTEGER NOT NULL,
    auth_time       INTEGER NOT NULL,
    browser         TEXT NOT NULL,
    login_name      TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    used_at         INTEGER NOT NULL,
    session         BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX oauth_codes_by_end ON oauth_codes (expires_at);

CREATE TABLE oauth_sessions (
    key       BLOB NOT NULL PRIMARY KEY,
    client    TEXT NOT NULL,
    scope     TEXT NOT NULL,
    audience  TEXT NOT NULL,
    auth_time INTEGER NOT NULL,
    nonce     TEXT NOT NULL,
    browser   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX oauth_sessions_by_client ON oauth_sessions (client);
CREATE INDEX oauth_sessions_by_browser ON oauth_sessions (browser) WHERE browser <> '';

-- By a trigger, because a binary that knows nothing of grants purges sessions too.
-- +goose StatementBegin
CREATE TRIGGER oauth_sessions_go AFTER DELETE ON sessions BEGIN
    DELETE FROM oauth_sessions WHERE key = OLD.key;
END;
-- +goose StatementEnd

CREATE TABLE oauth_consents (
    user       TEXT NOT NULL,
    client     TEXT NOT NULL,
    scope      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (user, client)
) STRICT, WITHOUT ROWID;

CREATE INDEX oauth_consents_by_client ON oauth_consents (client);

-- +goose StatementBegin
CREATE TRIGGER oauth_consents_go AFTER UPDATE OF state ON users WHEN NEW.state = 'deleted' BEGIN
    DELETE FROM oauth_consents WHERE user = NEW.id;
END;
-- +goose StatementEnd

-- Assertions that were accepted (RFC 7523): the hash of issuer and jti.
CREATE TABLE oauth_assertions (
    hash           BLOB NOT NULL PRIMARY KEY,
    remember_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX oauth_assertions_by_end ON oauth_assertions (remember_until);

-- +goose Down

DROP TABLE oauth_assertions;
DROP TRIGGER oauth_consents_go;
DROP TABLE oauth_consents;
DROP TRIGGER oauth_sessions_go;
DROP TABLE oauth_sessions;
DROP TABLE oauth_codes;
DROP TABLE oauth_clients;
