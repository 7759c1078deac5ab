"""`python -m service.sandbox`."""

from service.sandbox.cli import main

main()
