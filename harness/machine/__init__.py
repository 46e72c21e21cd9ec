"""What this machine can run, what disturbs it, and what a killed run left."""
