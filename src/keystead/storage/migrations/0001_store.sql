CREATE TABLE store (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  store_id BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  root_generation INTEGER NOT NULL,
  root_check BLOB NOT NULL,
  integrity_wrapped BLOB NOT NULL,
  audit_wrapped BLOB NOT NULL,
  keys_generation INTEGER NOT NULL
);

CREATE TABLE key_slots (
  slot_id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  label TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  wrapped BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE data_keys (
  key_id TEXT PRIMARY KEY,
  reference BLOB NOT NULL UNIQUE,
  state TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  state_ms INTEGER NOT NULL,
  salt BLOB NOT NULL,
  wrapped BLOB,
  reserved INTEGER NOT NULL,
  reserved_mac BLOB NOT NULL
);

CREATE TABLE secrets (
  name TEXT PRIMARY KEY,
  secret_id BLOB NOT NULL,
  latest INTEGER NOT NULL,
  labels TEXT NOT NULL,
  ttl_ms INTEGER,
  rule TEXT,
  tags TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  expired_ms INTEGER,
  deleted_ms INTEGER,
  destroyed_ms INTEGER,
  epoch INTEGER NOT NULL,
  mac BLOB NOT NULL,
  current INTEGER
) WITHOUT ROWID;

CREATE INDEX secrets_expiry ON secrets (expires_ms) WHERE expires_ms IS NOT NULL AND destroyed_ms IS NULL;

CREATE TABLE secret_versions (
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  key_reference BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  encoding TEXT NOT NULL,
  ciphertext BLOB,
  destroyed_ms INTEGER,
  PRIMARY KEY (name, version)
) WITHOUT ROWID;

CREATE INDEX secret_versions_expiry ON secret_versions (expires_ms) WHERE expires_ms IS NOT NULL AND destroyed_ms IS NULL;

CREATE TABLE secret_tags (
  tag TEXT NOT NULL,
  value TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (tag, value, name)
) WITHOUT ROWID;

CREATE TABLE revoked_sessions (
  session_id TEXT PRIMARY KEY,
  revoked_ms INTEGER NOT NULL
) WITHOUT ROWID;
