"""The HTTP server of the web process: a gunicorn worker around httptools, where whatever a peer can hold has a bound.

It parses requests by a library (llhttp, the parser of Node.js), and owns what libraries leave open: which framing is
ambiguous, how long each byte may be waited for, how many connections and how many bytes may wait at once.
"""
