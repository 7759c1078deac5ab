"""The ground the service stands on while it is tried out: demo, dev, tests, drills; never production."""
