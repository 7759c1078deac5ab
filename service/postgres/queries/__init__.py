"""Every query, by noun. Functions take a session and never commit."""
