"""Whether kernels do as the model says: random traces, replays and mutants."""
