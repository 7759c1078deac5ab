"""What the worker does for the tables themselves."""
