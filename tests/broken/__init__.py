"""The service with one of its safeguards taken out: the drill of `make prove` has to notice each."""
