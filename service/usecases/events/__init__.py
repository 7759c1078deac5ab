"""Cobalt's events, from the webhook to the row."""
