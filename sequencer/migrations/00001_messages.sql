-- +goose Up
CREATE TABLE bodies (
    data_hash BLOB PRIMARY KEY,
    body      BLOB NOT NULL
);

CREATE TABLE batches (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    project    INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    data_hash  BLOB NOT NULL REFERENCES bodies (data_hash),
    commitment BLOB NOT NULL,
    -- open, mined, settled, splitting, split, refused: computed from the facts
    state      TEXT NOT NULL,
    reason     TEXT NOT NULL DEFAULT '',
    -- unix ms before which it is not offered again
    not_before INTEGER NOT NULL DEFAULT 0,
    -- current authorisation; no signature before the first
    expiry     INTEGER NOT NULL DEFAULT 0,
    signature  BLOB,
    -- latest expiry ever signed
    max_expiry INTEGER NOT NULL DEFAULT 0,
    created    INTEGER NOT NULL,
    UNIQUE (project, data_hash)
);
CREATE INDEX batches_open ON batches (id) WHERE state = 'open';
CREATE INDEX batches_splitting ON batches (id) WHERE state = 'splitting';
CREATE INDEX batches_data ON batches (data_hash);

CREATE TABLE messages (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    id        BLOB NOT NULL UNIQUE,
    project   INTEGER NOT NULL,
    -- project version under whose payload limit the signature was checked
    version   INTEGER NOT NULL,
    device    BLOB NOT NULL,
    -- 8 bytes big-endian: order of bytes is order of numbers
    nonce     BLOB NOT NULL,
    encoded   BLOB NOT NULL,
    received  INTEGER NOT NULL,
    batch     INTEGER REFERENCES batches (id),
    -- most messages a body with this one may hold; 0 for no limit
    batch_cap INTEGER NOT NULL DEFAULT 0,
    refused   TEXT
);
CREATE UNIQUE INDEX messages_nonce ON messages (project, device, nonce);
CREATE INDEX messages_pending ON messages (project, version, seq) WHERE batch IS NULL AND refused IS NULL;
CREATE INDEX messages_batch ON messages (batch) WHERE batch IS NOT NULL;

-- What the canonical chain says about our batches. The other tables' states
-- follow from it.
CREATE TABLE facts (
    evm_block INTEGER NOT NULL,
    log_index INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    batch     INTEGER NOT NULL REFERENCES batches (id),
    task      BLOB NOT NULL,
    height    INTEGER NOT NULL DEFAULT 0,
    reason    TEXT NOT NULL DEFAULT '',
    -- unix ms at which this process learnt of it
    seen      INTEGER NOT NULL,
    PRIMARY KEY (evm_block, log_index)
);
CREATE INDEX facts_batch ON facts (batch, evm_block, log_index);
CREATE INDEX facts_task ON facts (task);

CREATE TABLE tasks (
    id     BLOB PRIMARY KEY,
    batch  INTEGER NOT NULL REFERENCES batches (id),
    height INTEGER NOT NULL,
    state  TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX tasks_batch ON tasks (batch);

CREATE TABLE blocks (
    hash        BLOB PRIMARY KEY,
    height      INTEGER NOT NULL,
    evm_block   INTEGER NOT NULL,
    tx          BLOB NOT NULL,
    operator    BLOB NOT NULL,
    beneficiary BLOB NOT NULL,
    tasks       INTEGER NOT NULL,
    reward      TEXT NOT NULL,
    header      BLOB NOT NULL,
    coinbase    BLOB NOT NULL
);
CREATE INDEX blocks_height ON blocks (height);
CREATE INDEX blocks_evm ON blocks (evm_block);

-- Blocks of ours on their way to the chain.
CREATE TABLE mints (
    hash      BLOB PRIMARY KEY,
    parent    BLOB NOT NULL,
    height    INTEGER NOT NULL,
    header    BLOB NOT NULL,
    coinbase  BLOB NOT NULL,
    -- JSON array of the tasks exactly as the leaves have them
    tasks     TEXT NOT NULL,
    -- sending, landed (stands, but the cursor has not come there), done, lost
    state     TEXT NOT NULL,
    evm_block INTEGER NOT NULL DEFAULT 0,
    tx        BLOB,
    gas       INTEGER NOT NULL DEFAULT 0,
    reason    TEXT NOT NULL DEFAULT ''
);
CREATE INDEX mints_open ON mints (state) WHERE state IN ('sending', 'landed');
CREATE TABLE mint_batches (
    mint  BLOB NOT NULL REFERENCES mints (hash),
    batch INTEGER NOT NULL REFERENCES batches (id),
    PRIMARY KEY (mint, batch)
);

CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);

-- +goose Down
DROP TABLE meta;
DROP TABLE mint_batches;
DROP TABLE mints;
DROP TABLE blocks;
DROP TABLE tasks;
DROP TABLE facts;
DROP TABLE messages;
DROP TABLE batches;
DROP TABLE bodies;
