-- +goose Up
CREATE TABLE owner (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    chain_id INTEGER NOT NULL,
    genesis  BLOB NOT NULL, -- hash of block 0
    account  BLOB NOT NULL
);
CREATE TABLE request (
    key       TEXT PRIMARY KEY,
    digest    BLOB NOT NULL,    -- of recipient, value and data
    nonce     INTEGER NOT NULL UNIQUE,
    recipient BLOB,             -- NULL deploys
    data      BLOB NOT NULL,
    value     TEXT NOT NULL,    -- wei, decimal
    gas       INTEGER NOT NULL,
    receipt   BLOB,             -- JSON; NULL while in flight
    revert    BLOB              -- revert data of a mined failure
);
CREATE INDEX request_in_flight ON request (nonce) WHERE receipt IS NULL;
-- Every signed form of a request; any of them may be the one that is mined.
CREATE TABLE attempt (
    hash    BLOB PRIMARY KEY,
    key     TEXT NOT NULL REFERENCES request (key) ON DELETE CASCADE,
    nonce   INTEGER NOT NULL,
    raw     BLOB NOT NULL,
    tip     TEXT NOT NULL,
    fee_cap TEXT NOT NULL,
    head    INTEGER NOT NULL,   -- the chain's when it was made
    made    INTEGER NOT NULL    -- unix ms
);
CREATE INDEX attempt_of ON attempt (key, made);
