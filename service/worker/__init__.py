"""The worker: everything that runs without being asked."""
