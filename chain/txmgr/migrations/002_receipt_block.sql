-- +goose Up
-- The block that the receipt is of. NULL while in flight, and for receipts that
-- were stored before there was this column.
ALTER TABLE request ADD COLUMN block INTEGER;
ALTER TABLE request ADD COLUMN block_hash BLOB;
CREATE INDEX request_block ON request (block) WHERE block IS NOT NULL;

-- +goose Down
DROP INDEX request_block;
ALTER TABLE request DROP COLUMN block_hash;
ALTER TABLE request DROP COLUMN block;
