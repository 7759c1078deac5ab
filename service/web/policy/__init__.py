"""What holds for every request: keys, limits, problems, request ids, idempotency, records of reads."""
