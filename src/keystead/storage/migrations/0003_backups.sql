CREATE TABLE backups (
  backup_id BLOB PRIMARY KEY,
  path TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  shred_keys TEXT
) WITHOUT ROWID;

CREATE TABLE backup_keys (
  reference BLOB NOT NULL,
  backup_id BLOB NOT NULL,
  PRIMARY KEY (reference, backup_id)
) WITHOUT ROWID;
