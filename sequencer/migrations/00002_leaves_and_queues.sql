-- +goose Up
-- Of a mined leaf: whether it says of the body what we say, under our key.
ALTER TABLE facts ADD COLUMN own INTEGER NOT NULL DEFAULT 1;
-- What is next of each project is found without looking at the rest.
CREATE INDEX batches_queue ON batches (project, version, id) WHERE state = 'open';
DROP INDEX batches_open;

-- +goose Down
CREATE INDEX batches_open ON batches (id) WHERE state = 'open';
DROP INDEX batches_queue;
ALTER TABLE facts DROP COLUMN own;
