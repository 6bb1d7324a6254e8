"""What the rooms need from a database, on SQLite; migrations. The only importer of a database driver."""
