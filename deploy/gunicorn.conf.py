"""How the web process runs; everything that depends on the place is a setting."""

import os
import sys
from typing import Any

from service.config import Settings
from service.config.misspelt import log_misspelt
from service.errors import SettingsError
from service.telemetry import log, metric_files

try:
    settings = Settings.from_env()
except SettingsError as error:
    sys.exit(str(error))

metric_files.share()  # before anything imports prometheus_client

bind = [f"{settings.host}:{settings.port}"]
if settings.internal_port:
    bind.append(f"{settings.internal_host}:{settings.internal_port}")
workers = settings.web_concurrency
# Loaded before it listens: else what connects while an instance starts waits for seconds, and Cobalt waits for two.
preload_app = True
worker_class = "service.web.server.worker.Worker"  # an event loop for webhooks, Flask in threads; see docs/decisions
timeout = 30  # a worker that is silent for so long is stuck
graceful_timeout = 30  # what is in flight is finished
control_socket_disable = True
accesslog = None  # the application writes one line for each request, by an allow-list
errorlog = "-"
loglevel = "warning"
proc_name = "cobalt-appointments"


def on_starting(server: object) -> None:  # noqa: ARG001 (gunicorn's signature)
    """Log like everything else: gunicorn's own lines may hold addresses with anything in them."""
    log.configure(settings.log_level)
    log.adopt("gunicorn.error")
    log_misspelt(os.environ)


def child_exit(server: object, worker: Any) -> None:  # noqa: ANN401, ARG001 (gunicorn's signature)
    """Keep what a process counted, and forget what it measured of itself."""
    metric_files.bury(worker.pid)


def on_exit(server: object) -> None:  # noqa: ARG001 (gunicorn's signature)
    """Leave nothing behind."""
    metric_files.remove()
