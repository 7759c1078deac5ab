"""The system of record between clinics' software and Cobalt's appointment robots."""
