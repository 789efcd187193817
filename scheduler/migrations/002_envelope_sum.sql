-- +goose Up
-- SHA-256 of the proof envelope as it was verified: attempt, engine and timings
-- stand nowhere else, so that a damaged byte in them would not show. Empty for
-- proofs that were stored before there was this column.
ALTER TABLE tasks ADD COLUMN envelope_sum BLOB NOT NULL DEFAULT x'';

-- +goose Down
ALTER TABLE tasks DROP COLUMN envelope_sum;
