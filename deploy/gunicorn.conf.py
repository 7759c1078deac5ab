"""How the web process runs; everything that depends on the place is a setting."""

import sys
from typing import Any

from gevent import monkey  # type: ignore[import-untyped]

# Before anything else is imported: psycopg looks once, when it is imported, whether waiting has to give way to
# other greenlets. Unpatched it waits in C, and a PostgreSQL that hangs would stop the whole process.
monkey.patch_all()

from service import log  # noqa: E402
from service.config import Settings  # noqa: E402
from service.errors import SettingsError  # noqa: E402

try:
    settings = Settings.from_env()
except SettingsError as error:
    sys.exit(str(error))

bind = f"{settings.host}:{settings.port}"
workers = settings.web_concurrency
# Loaded before it listens: else what connects while an instance starts waits for seconds, and Cobalt waits for two.
preload_app = True
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


def post_worker_init(worker: Any) -> None:  # noqa: ANN401 (gunicorn has no types)
    """Start what runs in each process beside the requests: threads do not survive the fork."""
    worker.wsgi.extensions["drainer"].start()


def on_starting(server: object) -> None:  # noqa: ARG001 (gunicorn's signature)
    """Log like everything else: gunicorn's own lines may hold addresses with anything in them."""
    log.configure(settings.log_level)
    log.adopt("gunicorn.error")
