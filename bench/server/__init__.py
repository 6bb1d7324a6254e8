"""keystead as a server beside OpenBao: both real, on one core each in turn, audit on, every answer checked."""
