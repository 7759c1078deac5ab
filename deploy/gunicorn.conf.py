"""How the web process runs; everything that depends on the place is a setting."""

import sys

from service.config import Settings
from service.errors import SettingsError

try:
    settings = Settings.from_env()
except SettingsError as error:
    sys.exit(str(error))

bind = f"{settings.host}:{settings.port}"
workers = settings.web_concurrency
worker_class = "gevent"  # hundreds of clients may wait at once; docs/decisions says what was measured
worker_connections = 1000
http_parser = "fast"  # gunicorn's own parser in C
keepalive = 75  # longer than load balancers keep idle connections, so that it is never us who close first
timeout = 30  # a worker that is silent for so long is stuck
graceful_timeout = 30  # what is in flight is finished
control_socket_disable = True
accesslog = None  # the application writes one line for each request, by an allow-list
errorlog = "-"
loglevel = "warning"
proc_name = "cobalt-appointments"
