"""Who acts, and what they may do: principals, sessions, policy."""
