"""Named keys: keys that callers use by name, with versions of which one is primary."""
