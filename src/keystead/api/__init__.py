"""What server and client agree on: the operations of the native HTTP API, and how their values travel as JSON."""
