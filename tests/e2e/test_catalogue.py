"""A worker learns by itself what the EHR knows, and the web process refuses what it does not."""

from __future__ import annotations

import httpx

from tests.records import FIELDS, until
from tests.stacks import running


def test_a_typing_error_costs_no_robots_run(database_url: str) -> None:
    with (
        running(database_url=database_url, sandbox_options=["--catalogue", "--delay", "0.1"]) as stack,
        httpx.Client(
            base_url=stack.url, headers={"Authorization": f"Bearer {stack.api_key}"}, trust_env=False
        ) as client,
    ):
        until(lambda: client.get("/v1/accounts/clinic_1/catalogue").json()["is_fresh"], 20)
        wrong = FIELDS | {"type": "new_pateint"}

        refused = client.post("/v1/appointments", json=wrong)
        assert refused.status_code == 422
        assert [error["pointer"] for error in refused.json()["errors"]] == ["/type"]
        assert "new_patient" in refused.json()["errors"][0]["detail"]

        taken = client.post("/v1/appointments", json=FIELDS, headers={"Prefer": "wait=20"})
        assert taken.json()["status"] == "created"
