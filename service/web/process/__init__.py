"""What happens on the event loop: webhooks, threads for everything else, and waiting."""
