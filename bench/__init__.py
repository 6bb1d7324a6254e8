"""keystead and its peers side by side, in one process and one run."""
