-- +goose Up

-- Room on the disk of the database that is given up for what ends something,
-- when there is no other left. Nothing in it is of worth, so it is not logged:
-- a crash empties it, and whoever looks after it fills it again. Rows lie far
-- apart; what counts is the pages. Nothing in it may be of a kind that makes a
-- second, hidden table: that would take a page when the first is emptied.
CREATE UNLOGGED TABLE ballast (
    filler bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_enabled = false);

-- Whether it is given up: then nothing else may take what it took. 0 = it is not.
CREATE TABLE ballast_given_up (
    at bigint NOT NULL
) WITH (fillfactor = 10);

INSERT INTO ballast_given_up (at) VALUES (0);

-- +goose Down

DROP TABLE ballast_given_up, ballast;
