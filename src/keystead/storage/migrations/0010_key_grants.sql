CREATE TABLE key_grants (
  grant_id TEXT PRIMARY KEY,
  key_id TEXT NOT NULL,
  grantee TEXT NOT NULL,
  retiring TEXT,
  operations TEXT NOT NULL,
  name TEXT,
  context_equals TEXT,
  context_subset TEXT,
  creator TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  mac BLOB NOT NULL
) WITHOUT ROWID;

CREATE INDEX key_grants_key ON key_grants (key_id, grantee);
CREATE INDEX key_grants_grantee ON key_grants (grantee, grant_id);
CREATE INDEX key_grants_retiring ON key_grants (retiring, grant_id) WHERE retiring IS NOT NULL;
CREATE INDEX key_grants_end ON key_grants (expires_ms) WHERE expires_ms IS NOT NULL;
