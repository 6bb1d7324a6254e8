"""The command line: one module per noun. Parse, call a service, render."""
