"""The command line: arguments in, requests out, tables to read."""

from harness.cli.main import main

__all__ = ["main"]
