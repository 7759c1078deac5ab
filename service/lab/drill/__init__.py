"""The fault drill of `make prove`: real processes, faults on a schedule, and an account of every appointment."""
