"""One running process: settings, assembly, what is shared, the ticker."""
