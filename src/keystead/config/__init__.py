"""An application's configuration: schema, sources, references, masking."""
