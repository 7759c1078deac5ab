"""Every write that there is honours Idempotency-Key, as the document says of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.web.openapi.pages import described

if TYPE_CHECKING:
    from flask import Flask

    from tests.integration.web.conftest import Api


def test_every_write_looks_at_its_idempotency_key(app: Flask, api: Api) -> None:
    document: dict[str, Any] = described(app).document()
    writes = 0
    for path, item in document["paths"].items():
        for method in item.keys() & {"post", "put", "patch", "delete"}:
            operation = item[method]
            if "x-scope" not in operation:
                continue
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            example = None
            if body:
                schema = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
                example = body.get("example", schema["examples"][0])
            answer = api.call(
                method.upper(),
                path.replace("{", "").replace("}", ""),
                json=example,
                headers={"Idempotency-Key": "two words"},
            )
            assert answer.status_code == 400, f"{method} {path}"
            assert "Idempotency-Key" in answer.json["detail"]
            writes += 1
    assert writes >= 4
