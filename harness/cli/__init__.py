"""The command line: it parses arguments, runs a command and prints the result."""

from harness.cli.main import main

__all__ = ["main"]
