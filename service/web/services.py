"""What one web process works with: opened once by ``service.web.opening``, and found here by everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import current_app

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from flask import Flask
    from sqlalchemy import Engine

    from service.config import Settings
    from service.postgres.replica import Replica
    from service.spool import Spool
    from service.usecases.events.drain_spool import Drainer
    from service.usecases.events.take_webhook import WebhookTaker
    from service.web.policy.limits import Limits
    from service.web.views.metrics import StandingCollector

_NAME = "services"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that one web process opens.

    Args:
        settings: The settings.
        engine: The pool of connections for the API.
        replica: Where reads may go that can be slightly old; None without one.
        spool: This host's spool.
        drainer: Gives what is spooled to PostgreSQL.
        taker: Takes webhooks.
        standing: Collects for /metrics how things stand.
        limits: Counts the requests of every key.
        pools: Every pool of connections that metrics watch, by its name there.
        closing: Closes all of it, what was opened last first.
    """

    settings: Settings
    engine: Engine
    replica: Replica | None
    spool: Spool
    drainer: Drainer
    taker: WebhookTaker
    standing: StandingCollector
    limits: Limits
    pools: Mapping[str, Engine]
    closing: ExitStack

    def close(self) -> None:
        """Close everything; once more changes nothing."""
        self.closing.close()


def attach(app: Flask, services: Services) -> None:
    """Have an application work with these services."""
    app.extensions[_NAME] = services


def services_of(app: Flask) -> Services:
    """Get the services of an application."""
    found: Services = app.extensions[_NAME]
    return found


def services() -> Services:
    """Get the services of the application whose request is under way."""
    return services_of(current_app)
