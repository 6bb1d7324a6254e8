"""Public fixtures for tests of code that uses keystead."""
