-- Status numbers, and facts on application tokens that follow their rows.
-- Additions alone: the previous binary works on a store that has them. What it
-- writes has the number 0, which is none.

-- +goose Up

ALTER TABLE sessions ADD COLUMN status INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_tokens ADD COLUMN status INTEGER NOT NULL DEFAULT 0;

-- All that a list needs to know of a session. No refresh writes any of it.
CREATE INDEX sessions_by_status ON sessions (status, revoked_at, epoch) WHERE status > 0;
CREATE INDEX app_tokens_by_status ON app_tokens (status) WHERE status > 0;
CREATE INDEX app_tokens_by_account ON app_tokens (account);
CREATE INDEX accounts_ended ON accounts (ended_fact) WHERE ended_fact > 0;

-- The next number of each space, and whose life of the store it is.
CREATE TABLE status_counters (
    space       TEXT NOT NULL PRIMARY KEY CHECK (space IN ('sessions', 'tokens')),
    next        INTEGER NOT NULL,
    incarnation TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO status_counters (space, next, incarnation) VALUES ('sessions', 1, ''), ('tokens', 1, '');

-- Blocks of numbers that nodes hand out now.
CREATE TABLE status_blocks (
    space       TEXT NOT NULL,
    first       INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    reserved_at INTEGER NOT NULL,
    PRIMARY KEY (space, first)
) STRICT, WITHOUT ROWID;

CREATE INDEX status_blocks_by_time ON status_blocks (reserved_at);

-- Numbers taken from sessions that live on under others. While their block is
-- open, a number without a row would read as one that may still be given.
CREATE TABLE status_burnt (
    number INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL
) STRICT;

-- The lists of 65,536 numbers that there are. The triggers below raise the
-- version, whichever binary makes the change.
CREATE TABLE status_lists (
    space   TEXT NOT NULL,
    list    INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (space, list)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER status_of_session AFTER UPDATE OF revoked_at, status ON sessions WHEN OLD.status > 0 BEGIN
    UPDATE status_lists SET version = version + 1 WHERE space = 'sessions' AND list IN (OLD.status / 65536, NEW.status / 65536);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER status_of_token AFTER UPDATE OF revoked_at, suspended ON app_tokens WHEN OLD.status > 0 BEGIN
    UPDATE status_lists SET version = version + 1 WHERE space = 'tokens' AND list = OLD.status / 65536;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER status_of_user AFTER UPDATE OF state, type ON users WHEN OLD.state <> NEW.state OR OLD.type <> NEW.type BEGIN
    UPDATE status_lists SET version = version + 1 WHERE space = 'tokens'
        AND list IN (SELECT status / 65536 FROM app_tokens WHERE user = NEW.id AND status > 0);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER status_of_account AFTER UPDATE OF state, ended_fact ON accounts BEGIN
    UPDATE status_lists SET version = version + 1;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER status_of_everything AFTER INSERT ON facts WHEN NEW.kind = 'everything' BEGIN
    UPDATE status_lists SET version = version + 1 WHERE space = 'sessions';
END;
-- +goose StatementEnd

CREATE INDEX facts_by_token ON facts (subject) WHERE kind = 'token';
CREATE INDEX facts_on_everything ON facts (number) WHERE kind = 'everything';

-- The previous binary added no facts on the tokens of disabled users and
-- accounts, and left those of suspended tokens in force when they were resumed.
INSERT INTO facts (kind, subject, spare, reason, at, purge_at)
SELECT 'token', id, CASE counts WHEN 1 THEN id ELSE '' END, 'upgrade', unixepoch() * 1000, 253402300799000
FROM (SELECT t.id, t.revoked_at = 0 AND t.suspended = 0 AND u.state = 'active' AND u.type = 'application' AND a.state = 'active' AS counts
      FROM app_tokens t JOIN users u ON u.id = t.user JOIN accounts a ON a.id = t.account)
WHERE counts <> NOT EXISTS (SELECT 1 FROM facts f WHERE f.kind = 'token' AND f.subject = id);

-- +goose Down

DROP INDEX facts_on_everything;
DROP INDEX facts_by_token;
DROP TRIGGER status_of_everything;
DROP TRIGGER status_of_account;
DROP TRIGGER status_of_user;
DROP TRIGGER status_of_token;
DROP TRIGGER status_of_session;
DROP TABLE status_lists;
DROP TABLE status_burnt;
DROP TABLE status_blocks;
DROP TABLE status_counters;
DROP INDEX accounts_ended;
DROP INDEX app_tokens_by_account;
DROP INDEX app_tokens_by_status;
DROP INDEX sessions_by_status;
ALTER TABLE app_tokens DROP COLUMN status;
ALTER TABLE sessions DROP COLUMN status;
