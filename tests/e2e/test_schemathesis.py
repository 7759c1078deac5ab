"""The running service does what its document says, whatever is asked of it, well-formed or not."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from service.cobalt.signing import HEADER, sign
from service.lab.demo import APPOINTMENT
from tests.records import until

if TYPE_CHECKING:
    from service.lab.stack import Stack

PROJECT = Path(__file__).parents[2]
FAILED = 12
PLACES = {"cursor", "after"}
USUAL = ("2xx", "3xx", "401", "403", "404", "409", "429", "5xx")
"""What schemathesis allows to be answered to a request that the document allows."""
SEED = int(os.environ.get("SCHEMATHESIS_SEED", "20250101"))
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "3"))
"""Drawn for each operation, beside those of the document and those that cover every rule of its schemas."""


def known_rows(stack: Stack) -> dict[str, list[str]]:
    """Make what there has to be for an answer to be more than a 404: failed appointments, and a quarantine."""
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    with httpx.Client(base_url=stack.url, headers=headers, trust_env=False) as client:
        for raw in (b"{broken", b"[]", b"\xff"):
            signed = {HEADER: sign(raw, stack.webhook_secret)}
            assert client.post("/webhooks/cobalt", content=raw, headers=signed).status_code == 202
        quarantined = [one["id"] for one in client.get("/v1/quarantine").json()["data"]]
        asked = [client.post("/v1/appointments", json=APPOINTMENT | {"mrn": "000000"}).json() for _ in range(FAILED)]
        ids = [one["id"] for one in asked]
        until(lambda: all(client.get(f"/v1/appointments/{one}").json()["status"] == "failed" for one in ids), 30)
    return {"appointment_id": ids, "quarantined_id": quarantined, "account": [stack.account]}


def configured(document: dict[str, Any]) -> str:
    """Allow 400 to a cursor, and 412 to an ETag: each is what an answer before gave, and no schema can say which.

    Everything else that is wrong with a parameter is a 422, and stays forbidden for good ones.
    """
    operations = [
        operation for item in document["paths"].values() for operation in item.values() if isinstance(operation, dict)
    ]
    lists = [one["operationId"] for one in operations if PLACES & {named.get("name") for named in one["parameters"]}]
    conditional = [one["operationId"] for one in operations if "412" in one["responses"]]
    assert "listAppointments" in lists
    assert "correctAppointment" in conditional
    return "".join(
        f"[[operations]]\ninclude-operation-id = {json.dumps(names)}\n"
        f"checks.positive_data_acceptance.expected-statuses = {json.dumps([status, *USUAL])}\n"
        for names, status in ((lists, "400"), (conditional, "412"))
    )


def test_nothing_that_the_document_allows_or_forbids_is_answered_otherwise_than_it_says(
    stack: Stack, tmp_path: Path
) -> None:
    # From a file: schemathesis leaves out the address that it gets the document from.
    document = httpx.get(f"{stack.url}/openapi.json", trust_env=False).json()
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "schemathesis.toml").write_text(configured(document))
    command = [
        str(Path(sysconfig.get_path("scripts")) / "schemathesis"),
        *("--config-file", str(tmp_path / "schemathesis.toml")),
        *("run", "openapi.json", "--url", stack.url, "--header", f"Authorization: Bearer {stack.api_key}"),
        *("--checks", "all", "--mode", "all", "--phases", "examples,coverage,fuzzing,stateful"),
        *("--max-examples", str(EXAMPLES), "--seed", str(SEED), "--no-color"),
        *("--generation-database", "none", "--report-dir", str(tmp_path)),
    ]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(PROJECT),
        "SCHEMATHESIS_HOOKS": "tests.e2e.schemathesis.hooks",
        "WEBHOOK_SECRET": stack.webhook_secret,
        "KNOWN_ROWS": json.dumps(known_rows(stack)),
    }
    done = subprocess.run(  # noqa: S603 (our own command)
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    described = sum(len(item.keys() - {"parameters"}) for item in document["paths"].values())
    assert f"Selected: {described}/{described}" in done.stdout
    assert f"Tested: {described}\n" in done.stdout
