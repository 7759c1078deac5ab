"""The web process: ``gunicorn -c deploy/gunicorn.conf.py wsgi:app``."""

from service.app import create_app
from service.config import Settings

app = create_app(Settings.from_env())
app.extensions["drainer"].start()  # here, in each worker process: gunicorn loads the application after the fork
