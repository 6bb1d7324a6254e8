"""What happened, so that it cannot be quietly changed: records, chains, the journal, verification."""
