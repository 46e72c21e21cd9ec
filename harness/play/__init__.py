"""Plays traces on the running kernel, and writes down what it answered."""

from harness.play.job import PlayJob, parse_play_job, render_play_job

__all__ = ["PlayJob", "parse_play_job", "render_play_job"]
