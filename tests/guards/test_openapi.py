"""The OpenAPI document is complete, for every route there is: one that lacks something fails here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.usecases.events import take_webhook
from service.web.app import create_app
from service.web.openapi.document import METHODS, path_of
from service.web.openapi.pages import described
from tests.guards.test_readme import rows
from tests.guards.test_routes_need_keys import PUBLIC
from tests.settings import settings_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

WEB = Path(__file__).parents[2] / "service" / "web"
PROBLEM = "application/problem+json"
# A part of the page of /docs, and nothing by itself.
NOT_DESCRIBED = {("GET", "/docs/{version}/{name}")}
# Who sent it is asked of every request; the proxy's and the client's own are none of ours.
READ_BY_ALL = {"Authorization"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return create_app(settings_from(SPOOL_DIR=str(tmp_path_factory.mktemp("spool"))))


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    found: dict[str, Any] = described(app).document()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference into the document."""
    while "$ref" in node:
        kind, name = node["$ref"].removeprefix("#/components/").split("/")
        node = document["components"][kind][name]
    return node


def nodes(node: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 (JSON)
    if isinstance(node, dict):
        yield node
        for one in node.values():
            yield from nodes(one)
    elif isinstance(node, list):
        for one in node:
            yield from nodes(one)


def test_it_is_a_valid_openapi_3_1_document(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_it_describes_every_route_and_no_other(app: Flask, document: dict[str, Any]) -> None:
    served = {("POST", take_webhook.PATH)}
    for rule in app.url_map.iter_rules():
        methods = (rule.methods or set()) & {method.upper() for method in METHODS}
        served |= {(method, path_of(rule.rule)) for method in methods}
    described = {(method, path) for method, path, _ in operations(document)}
    assert described == served - NOT_DESCRIBED


def test_the_readme_lists_every_call_with_its_scope(document: dict[str, Any]) -> None:
    listed = {}
    for calls, scope, *_ in rows("call", "scope", ""):
        for method, path in re.findall(r"`([A-Z]+) (/[^`?]*)", calls):
            listed[method, path] = scope.strip("`")
    described = {}
    for method, path, operation in operations(document):
        needs = "signature" if path == take_webhook.PATH else operation.get("x-scope", "none")
        described[method, re.sub(r"{[^}]+}", "{id}", path)] = needs
    assert listed == described


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert sorted(set(names)) == sorted(names)
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        assert re.fullmatch(r"[a-z][A-Za-z]+", operation["operationId"]), where
        assert re.fullmatch(r"\S.{8,80}[.?]", operation.get("summary", "")), f"{where}: the docstring's first line"
        said = operation.get("description", "").partition("Scope: ")[0]
        assert len(said) > 15, f"{where}: the docstring's second paragraph"
        assert [tags[tag] for tag in operation["tags"]], where


def test_every_operation_needs_a_key_with_a_scope_or_is_public(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        if path == take_webhook.PATH:
            assert operation["security"] == [{"signature": []}]
        elif path in PUBLIC:
            assert operation["security"] == [], where
        else:
            assert operation["security"] == [{"key": [operation["x-scope"]]}], where
            assert operation["x-scope"] in {"read", "phi", "write", "ops"}
            assert {"401", "403", "503"} <= operation["responses"].keys(), where


def test_every_parameter_is_described_and_has_an_example(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for reference in (*operation["parameters"], *document["paths"][path].get("parameters", ())):
            parameter = resolved(document, reference)
            where = f"{method} {path} {parameter['name']}"
            assert parameter.get("description"), where
            schema = parameter["schema"]
            (example,) = [parameter["example"]] if "example" in parameter else schema["examples"]
            assert jsonschema_rs.is_valid(schema | {"components": document["components"]}, example), where


def test_every_answer_has_its_headers_and_every_problem_its_form(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for status, reference in operation["responses"].items():
            where = f"{method} {path} {status}"
            assert re.fullmatch(r"[2-5]\d\d", status), where
            response = resolved(document, reference)
            assert response["description"], where
            headers = {name: resolved(document, one) for name, one in response["headers"].items()}
            assert headers["X-Request-Id"]["required"], where
            assert all(one["description"] and one["schema"] for one in headers.values()), where
            if status >= "400":
                assert list(response["content"]) == [PROBLEM], where
            if status in {"429", "503"}:
                assert headers["Retry-After"]["required"], where
            if status in {"401", "403"}:
                assert headers["WWW-Authenticate"]["required"], where


def test_every_field_is_described(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, inner in schema.get("properties", {}).items():
            refers = "$ref" in inner or any("$ref" in one for one in inner.get("anyOf", ()))
            listed = "$ref" in inner.get("items", {})
            assert refers or listed or inner.get("description") or "const" in inner, f"{name}.{field}"
            if re.search(r"(^|_)(at|since|until)$", field):
                assert inner.get("format") == "date-time", f"{name}.{field} is a time"


def test_every_body_has_an_example_that_its_schema_allows(document: dict[str, Any]) -> None:
    seen = 0
    for method, path, operation in operations(document):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        bodies += [resolved(document, one) for one in operation["responses"].values()]
        for body in bodies:
            for content in body.get("content", {}).values():
                schema = content["schema"] | {"components": document["components"]}
                validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
                examples = [one["value"] for one in content.get("examples", {}).values()] or [content["example"]]
                for example in examples:
                    errors = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(example)]
                    assert errors == [], f"{method} {path}"
                    seen += 1
    assert seen > len(document["paths"])


def test_no_schema_has_an_example_that_it_does_not_allow(document: dict[str, Any]) -> None:
    for node in nodes(document["components"]["schemas"]):
        if "examples" in node and isinstance(node["examples"], list):
            schema = {name: value for name, value in node.items() if name != "examples"}
            validator = jsonschema_rs.Draft202012Validator(schema | {"components": document["components"]})
            assert all(validator.is_valid(example) for example in node["examples"]), node


def test_every_request_header_that_a_view_reads_is_described(document: dict[str, Any]) -> None:
    described = {
        resolved(document, one)["name"] for _, _, operation in operations(document) for one in operation["parameters"]
    }
    read = {
        name
        for path in WEB.rglob("*.py")
        for name in re.findall(r'request\.headers(?:\.get\(|\[)\s*"([^"]+)"', path.read_text())
    }
    assert "X-Request-Id" in read
    assert read - READ_BY_ALL <= described


def test_nothing_is_described_that_nobody_refers_to(document: dict[str, Any]) -> None:
    used = {node["$ref"] for node in nodes(document) if isinstance(node.get("$ref"), str)}
    for kind, components in document["components"].items():
        if kind != "securitySchemes":
            assert {f"#/components/{kind}/{name}" for name in components} <= used


def test_every_enumeration_and_every_free_object_is_a_component_of_its_own(document: dict[str, Any]) -> None:
    """Else each field that has one becomes a type of its own in clients that are made from this document.

    ``service.web.openapi.naming`` names them.
    """
    schemas = document["components"]["schemas"]
    named = {id(schema) for schema in schemas.values()}
    shared = [frozenset(schema["enum"]) for schema in schemas.values() if "enum" in schema]
    assert len(set(shared)) == len(shared) > 5
    for node in nodes({"paths": document["paths"], "schemas": schemas}):
        is_free = node.get("type") == "object" and "properties" not in node
        if is_free or isinstance(node.get("enum"), list):
            assert id(node) in named, node


def test_no_schema_is_more_than_generators_understand(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        # What must not be is a rule, of which generators take no notice.
        for node in nodes({word: inner for word, inner in schema.items() if word != "not"}):
            if {"anyOf", "oneOf", "allOf"} & node.keys():
                assert "properties" not in node, f"{name}: what the alternatives share is lost"
        assert name not in reached(schemas, name), f"{name} holds itself, which many leave out"


def reached(schemas: dict[str, Any], name: str) -> set[str]:
    """The names of all schemas that one consists of."""
    found: set[str] = set()
    waiting = [schemas[name]]
    while waiting:
        named = {one["$ref"].rpartition("/")[2] for one in nodes(waiting.pop()) if isinstance(one.get("$ref"), str)}
        waiting += [schemas[one] for one in named - found]
        found |= named
    return found


def test_it_leaves_nothing_of_another_notation_behind(document: dict[str, Any]) -> None:
    for node in nodes(document["components"]["schemas"]):
        assert not {"nullable", "example"} & node.keys()
        assert "\\Z" not in str(node.get("pattern", ""))
