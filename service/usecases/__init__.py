"""One verb a file. Each owns its transaction and its clock."""
