-- +goose Up
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;

-- Every event about a task, so that a task's view is the fold of its events
-- and a reorganisation only deletes some of them.
CREATE TABLE chain_events (
  block INTEGER NOT NULL,
  idx   INTEGER NOT NULL,
  task  BLOB NOT NULL,
  data  TEXT NOT NULL,
  PRIMARY KEY (block, idx)
) WITHOUT ROWID;
CREATE INDEX chain_events_task ON chain_events (task, block, idx);

CREATE TABLE tasks (
  id          BLOB PRIMARY KEY,
  -- what the chain says
  status      TEXT NOT NULL,
  project     INTEGER NOT NULL,
  version     INTEGER NOT NULL,
  count       INTEGER NOT NULL,
  commitment  BLOB NOT NULL,
  data_hash   BLOB NOT NULL,
  size        INTEGER NOT NULL,
  height      INTEGER NOT NULL,
  operator    BLOB NOT NULL,
  prover      BLOB NOT NULL,
  offer       INTEGER NOT NULL,
  draw        INTEGER NOT NULL,
  accept_by   INTEGER NOT NULL,
  deadline    INTEGER NOT NULL,
  settle_tx   BLOB NOT NULL,
  why         TEXT NOT NULL,
  -- what this prover does about it
  state       TEXT NOT NULL DEFAULT '',
  attempt     INTEGER NOT NULL DEFAULT 0,
  solves      INTEGER NOT NULL DEFAULT 0,
  reason      TEXT NOT NULL DEFAULT '',
  answer      TEXT NOT NULL DEFAULT '',
  opened      INTEGER NOT NULL DEFAULT 0,
  failures    INTEGER NOT NULL DEFAULT 0,
  next_at     INTEGER NOT NULL DEFAULT 0,
  envelope    BLOB NOT NULL DEFAULT x'',
  tx          BLOB NOT NULL DEFAULT x'',
  gas         INTEGER NOT NULL DEFAULT 0,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL
);
CREATE INDEX tasks_state ON tasks (state, next_at);
CREATE INDEX tasks_status ON tasks (status);
CREATE INDEX tasks_data ON tasks (data_hash);

CREATE TABLE attempts (
  task       BLOB NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  attempt    INTEGER NOT NULL,
  state      TEXT NOT NULL,
  worker     TEXT NOT NULL DEFAULT '',
  reason     TEXT NOT NULL DEFAULT '',
  started_at INTEGER NOT NULL,
  ended_at   INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (task, attempt)
);
CREATE INDEX attempts_state ON attempts (state);

CREATE TABLE history (
  seq     INTEGER PRIMARY KEY,
  task    BLOB NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  at      INTEGER NOT NULL,
  state   TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  reason  TEXT NOT NULL
);
CREATE INDEX history_task ON history (task, seq);

CREATE TABLE bodies (
  hash BLOB PRIMARY KEY,
  body BLOB NOT NULL,
  at   INTEGER NOT NULL
);

-- Answers to offers that are on their way: written before the transaction is
-- sent, so that a restart sends exactly the same one.
CREATE TABLE answers (
  key   TEXT PRIMARY KEY,
  kind  TEXT NOT NULL,
  tasks TEXT NOT NULL,
  at    INTEGER NOT NULL
);

-- +goose Down
DROP TABLE answers;
DROP TABLE bodies;
DROP TABLE history;
DROP TABLE attempts;
DROP TABLE tasks;
DROP TABLE chain_events;
DROP TABLE meta;
