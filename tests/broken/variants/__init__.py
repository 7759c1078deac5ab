"""One module for each safeguard that is taken out; `BREAKS` says in which modules of the service, and how."""
