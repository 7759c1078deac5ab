"""Who may do what: keys, accounts, tokens, addresses."""
