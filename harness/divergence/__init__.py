"""Compares what a kernel did with the model, and finds the first difference."""

from harness.divergence.checker import Divergence, Kernel, TraceChecker
from harness.divergence.recording import (
    Recording,
    parse_recording,
    parse_seen,
    render_recording,
)
from harness.divergence.reproducer import render_reproducer

__all__ = [
    "Divergence",
    "Kernel",
    "Recording",
    "TraceChecker",
    "parse_recording",
    "parse_seen",
    "render_recording",
    "render_reproducer",
]
