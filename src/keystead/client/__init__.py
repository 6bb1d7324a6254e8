"""The faces over HTTP: the same methods, parameters, results and errors, on a server elsewhere."""
