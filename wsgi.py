"""The web process: ``gunicorn -c deploy/gunicorn.conf.py wsgi:app``."""

import sys

from service.config import Settings
from service.errors import SettingsError
from service.web.app import create_app
from service.web.application import Web
from service.web.opening import refuse_unreadable_tokens

settings = Settings.from_env()
app = Web(create_app(settings))
try:
    refuse_unreadable_tokens(settings)
except SettingsError as error:
    sys.exit(str(error))
