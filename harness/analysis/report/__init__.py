"""Writes a campaign as a page and as a mail."""
