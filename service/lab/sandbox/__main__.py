"""`python -m service.lab.sandbox`."""

from service.lab.sandbox.cli import main

main()
