"""Numbered migrations: `NNNN_name.sql`, run in order, each once, recorded with its checksum."""
