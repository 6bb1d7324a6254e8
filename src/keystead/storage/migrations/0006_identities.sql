CREATE TABLE access_tokens (
  hash BLOB PRIMARY KEY,
  accessor TEXT NOT NULL UNIQUE,
  parent TEXT,
  principal TEXT NOT NULL,
  method TEXT NOT NULL,
  policies TEXT NOT NULL,
  meta TEXT NOT NULL,
  networks TEXT NOT NULL,
  binding TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  ttl_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  max_ms INTEGER,
  period_ms INTEGER,
  renewable INTEGER NOT NULL,
  uses_left INTEGER,
  mfa_ms INTEGER,
  revoked_ms INTEGER,
  epoch INTEGER NOT NULL,
  mac BLOB NOT NULL
) WITHOUT ROWID;

CREATE INDEX access_tokens_parent ON access_tokens (parent) WHERE parent IS NOT NULL;
CREATE INDEX access_tokens_principal ON access_tokens (principal, accessor);
CREATE INDEX access_tokens_end ON access_tokens (expires_ms);
CREATE INDEX access_tokens_revoked ON access_tokens (revoked_ms) WHERE revoked_ms IS NOT NULL;

CREATE TABLE users (
  name TEXT PRIMARY KEY,
  salt BLOB NOT NULL,
  iterations INTEGER NOT NULL,
  lanes INTEGER NOT NULL,
  memory_kib INTEGER NOT NULL,
  verifier BLOB NOT NULL,
  rules TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  mac BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE login_failures (
  name TEXT PRIMARY KEY,
  failed INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  locked_until_ms INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  mac BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE roles (
  name TEXT PRIMARY KEY,
  role_id TEXT NOT NULL UNIQUE,
  rules TEXT NOT NULL,
  secret_id_ttl_ms INTEGER,
  secret_id_uses INTEGER,
  networks TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  mac BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE secret_ids (
  hash BLOB PRIMARY KEY,
  accessor TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL,
  meta TEXT NOT NULL,
  networks TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  uses_left INTEGER,
  epoch INTEGER NOT NULL,
  mac BLOB NOT NULL
) WITHOUT ROWID;

CREATE INDEX secret_ids_role ON secret_ids (role, accessor);
