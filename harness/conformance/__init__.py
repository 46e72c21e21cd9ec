"""Checks kernels against the model: random traces, replays and mutants."""
