"""Named values: names, versions, labels, TTL, generators, reading and writing."""
