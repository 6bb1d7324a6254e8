CREATE TABLE policies (
  name TEXT PRIMARY KEY,
  document TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  version INTEGER NOT NULL,
  mac BLOB NOT NULL
);
