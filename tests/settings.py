"""Makes settings as a process would read them, from an environment that holds nothing else."""

from __future__ import annotations

import os
from dataclasses import fields

import pytest

from service.config import Settings

REQUIRED = {
    "DATABASE_URL": "postgresql:///unused",
    "COBALT_CLIENT_ID": "ci_test",
    "COBALT_CLIENT_SECRET": "cs_test",
    "COBALT_WEBHOOK_SECRETS": "whsec_test",
}


def settings_from(**environment: str) -> Settings:
    """Read settings from this environment, over the required ones."""
    with pytest.MonkeyPatch.context() as patch:
        for field in fields(Settings):
            for name in (field.name.upper(), f"{field.name.upper()}_FILE"):
                if name in os.environ:
                    patch.delenv(name)
        for name, value in (REQUIRED | environment).items():
            if name in environment or f"{name}_FILE" not in environment:
                patch.setenv(name, value)
        return Settings.from_env()
