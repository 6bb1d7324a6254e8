"""Ways to prove who one is: each a configuration and a function from a credential to a `Verified`, without a store."""
