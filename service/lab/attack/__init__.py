"""`make attack`: what strangers, a sick Cobalt and curious colleagues can do to the service."""
