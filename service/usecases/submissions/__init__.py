"""Requests, on their way to Cobalt and back."""
