"""The root key: getting it, holding it, letting it go."""
