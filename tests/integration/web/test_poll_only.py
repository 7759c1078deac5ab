"""With WEBHOOKS=off nothing is taken from outside, and no secret is needed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.web.conftest import webhook_body
from tests.settings import REQUIRED, settings_from
from tests.web_client import client_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask

    from service.config import Settings


def test_the_address_of_webhooks_says_so(
    make_app: Callable[[Settings], Flask], database_url: str, tmp_path: Path
) -> None:
    assert "COBALT_WEBHOOK_SECRETS" in REQUIRED
    off = settings_from(DATABASE_URL=database_url, SPOOL_DIR=str(tmp_path), WEBHOOKS="off", COBALT_WEBHOOK_SECRETS="")
    assert off.cobalt_webhook_secrets == ()
    client = client_of(make_app(off))

    answer = client.post("/webhooks/cobalt", data=webhook_body("created", "1", event_id="evt_1"))
    assert answer.status_code == 404
    assert "WEBHOOKS=off" in answer.text
    assert client.get("/readyz/webhooks").status_code == 503
    assert client.get("/readyz/api").status_code == 200
