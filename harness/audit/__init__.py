"""Compares what a kernel has in its memory with what the model predicts."""
