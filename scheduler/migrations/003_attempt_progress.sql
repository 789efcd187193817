-- +goose Up
-- What an attempt has come to in the words of its worker and plugin, for people.
ALTER TABLE attempts ADD COLUMN progress TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE attempts DROP COLUMN progress;
