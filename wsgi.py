"""The web process: ``gunicorn -c deploy/gunicorn.conf.py wsgi:app``."""

from service.app import create_app
from service.config import Settings

app = create_app(Settings.from_env())  # deploy/gunicorn.conf.py starts what has to run in each process
