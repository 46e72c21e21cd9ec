"""Draws the figures of a campaign."""
