"""Cobalt as its documentation describes it, run as a process of its own, for the demo and the tests.

It shares no code with the rest of `service`, so that one misreading of the contract cannot hide in both.
Everything is kept in memory and is gone when the process ends.
"""
