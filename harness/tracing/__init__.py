"""Traces programs with ptrace: the system calls that they make."""
