"""Root-key providers: each can wrap and unwrap 32 bytes, nothing else."""
