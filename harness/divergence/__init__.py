"""Holds what a kernel did against the model: the first place where they part."""

from harness.divergence.judge import Divergence, Judge, Kernel
from harness.divergence.recording import (
    Recording,
    parse_recording,
    parse_seen,
    render_recording,
)
from harness.divergence.reproducer import render_reproducer

__all__ = [
    "Divergence",
    "Judge",
    "Kernel",
    "Recording",
    "parse_recording",
    "parse_seen",
    "render_recording",
    "render_reproducer",
]
