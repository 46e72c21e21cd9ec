"""What a kernel holds in memory, compared with what the model expects."""
