"""Programs under ptrace: the calls that they make."""
