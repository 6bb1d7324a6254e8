CREATE TABLE request_keys (
  key BLOB PRIMARY KEY,
  request BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  operation_id TEXT NOT NULL,
  answer BLOB
) WITHOUT ROWID;
CREATE INDEX request_keys_by_age ON request_keys (created_ms);
