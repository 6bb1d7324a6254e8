"""keystead over HTTP: a synchronous dispatch over the services, and what carries it on sockets."""
