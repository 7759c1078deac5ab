"""Settings: the only reader of the environment."""

from service.config.readers import TIME_FORMATS, fits_a_header, is_loopback
from service.config.settings import AccountSettings, CobaltSettings, DatabaseSettings, Settings, read_setting

__all__ = [
    "TIME_FORMATS",
    "AccountSettings",
    "CobaltSettings",
    "DatabaseSettings",
    "Settings",
    "fits_a_header",
    "is_loopback",
    "read_setting",
]
