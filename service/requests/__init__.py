"""What a caller asks for, as schemas and as rows of a file: for HTTP and for the command line."""
