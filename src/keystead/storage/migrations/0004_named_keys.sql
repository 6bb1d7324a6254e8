CREATE TABLE named_keys (
  name TEXT PRIMARY KEY,
  key_id TEXT NOT NULL UNIQUE,
  type TEXT NOT NULL,
  usage TEXT NOT NULL,
  state TEXT NOT NULL,
  origin TEXT NOT NULL,
  deterministic INTEGER NOT NULL,
  exportable INTEGER NOT NULL,
  description TEXT NOT NULL,
  tags TEXT NOT NULL,
  latest INTEGER NOT NULL,
  primary_version INTEGER NOT NULL,
  min_encrypt INTEGER NOT NULL,
  min_decrypt INTEGER NOT NULL,
  rotation_ms INTEGER,
  rotated_ms INTEGER NOT NULL,
  destroy_ms INTEGER,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  mac BLOB NOT NULL
) WITHOUT ROWID;

CREATE INDEX named_keys_due ON named_keys (state) WHERE rotation_ms IS NOT NULL OR destroy_ms IS NOT NULL;

CREATE TABLE named_key_versions (
  key_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  reference BLOB NOT NULL UNIQUE,
  salt BLOB NOT NULL,
  key_reference BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  public BLOB,
  material BLOB,
  destroyed_ms INTEGER,
  PRIMARY KEY (key_id, version)
) WITHOUT ROWID;

CREATE INDEX named_key_versions_by_data_key ON named_key_versions (key_reference);

CREATE TABLE key_aliases (
  alias TEXT PRIMARY KEY,
  key_id TEXT NOT NULL,
  mac BLOB NOT NULL
) WITHOUT ROWID;

CREATE INDEX key_aliases_by_key ON key_aliases (key_id);
