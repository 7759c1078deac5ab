"""The web process: ``gunicorn -c deploy/gunicorn.conf.py wsgi:app``."""

from service.app import create_app
from service.config import Settings
from service.web import Web

app = Web(create_app(Settings.from_env()))
