"""The OpenAPI document: what flask-smorest reads off views and schemas, made complete.

Everything that follows from a view alone is added here, for every operation there is or will be: who may call it,
what it can answer, which headers go in and out. A view says itself what only it knows.
"""

from __future__ import annotations

import re
from copy import deepcopy
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from service.usecases.events.take_webhook import PATH
from service.web.openapi import parts, webhook
from service.web.openapi.examples import example_of
from service.web.openapi.naming import COMPONENTS, with_names
from service.web.openapi.rules import EXAMPLES, RULES, alternatives

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from flask_smorest import Api

Json = dict[str, Any]

DESCRIPTION = """\
Requests appointments from Cobalt and reports their status: `processing`, `created` or `failed`, with the reason.

Every answer has an `X-Request-Id`. Errors are `application/problem+json` (RFC 9457) and name each wrong field.
Times are RFC 3339 in UTC. The server refuses bytes that are not HTTP in plain text, without an id.
"""
METHODS = ("get", "post", "put", "patch", "delete")
WRITING = ("post", "put", "patch", "delete")
TAKES = "x-takes"
"""Where a view names the request headers that it reads; see ``Blueprint.takes``."""


def build(app: Flask, api: Api) -> Json:
    """Build the document of an application with all its blueprints."""
    document: Json = deepcopy(api.spec.to_dict())
    schemas = {name: one for name, one in document["components"]["schemas"].items() if name != "Error"}
    for name, rules in RULES.items():
        schemas[name] = _laid_over(schemas.get(name, {}), rules)
    for name, example in EXAMPLES.items():
        schemas[name] |= {"examples": [example_of(schemas[name], schemas) | example]}
    schemas |= {**parts.SCHEMAS, **webhook.SCHEMAS}
    schemas = {**with_names(schemas), **COMPONENTS}
    schemas |= alternatives(schemas["AppointmentIn"])
    document["paths"] = with_names(document["paths"])
    scopes = _scopes(app)
    for path, item in document["paths"].items():
        item["parameters"] = [parts.path_parameter(name) for name in re.findall(r"{([^}]+)}", path)]
        for method in METHODS:
            if method in item:
                _complete(item[method], path, method, scopes.get((path, method)), schemas)
    document["paths"][PATH] = {"post": webhook.OPERATION}
    document["tags"].append(webhook.TAG)
    document["info"] |= {"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}}
    document["servers"] = [{"url": "/"}]
    document["components"] = {
        "schemas": dict(sorted(schemas.items())),
        "responses": parts.problem_responses(),
        "headers": parts.HEADERS,
        "parameters": parts.PARAMETERS,
        "securitySchemes": parts.SECURITY,
    }
    return _without_unused(_plain_json_schema(document))


def path_of(rule: str) -> str:
    """Write a Flask rule as a path of the document."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule)


def _scopes(app: Flask) -> dict[tuple[str, str], str]:
    """Say which scope each operation asks for; the others ask for none."""
    found = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        view_class = getattr(view, "view_class", None)
        for method in METHODS:
            handler = getattr(view_class, method, None) if view_class else view
            scope = getattr(handler, "scope", None)
            if scope:
                found[path_of(rule.rule), method] = scope
    return found


def _complete(operation: Json, path: str, method: str, scope: str | None, schemas: Json) -> None:
    operation.setdefault("operationId", _operation_id(path, method))
    parameters = operation.setdefault("parameters", [])
    taken = ["X-Request-Id", *operation.pop(TAKES, ())]
    if scope and method in WRITING:
        taken.append("Idempotency-Key")
    for one in parameters:
        one.update(_as_text(one))
        if "example" not in one and not {"example", "examples"} & one["schema"].keys():
            one["example"] = example_of(one["schema"], schemas)
    names = {one.get("name") for one in parameters}
    parameters += [{"$ref": f"#/components/parameters/{name}"} for name in taken]
    operation["security"] = [{"key": [scope]}] if scope else []
    if scope:
        operation["x-scope"] = scope
        operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".strip()
    responses: Json = {str(status): response for status, response in operation["responses"].items()}
    good = {status: response for status, response in responses.items() if status < "400" and status.isdecimal()}
    problems = set(_problems(operation, path, method, scope, names))
    if any(len(response.get("content", {})) > 1 for response in good.values()):
        problems.add(HTTPStatus.NOT_ACCEPTABLE)
    own = {int(status): one for status, one in responses.items() if status not in good and status.isdecimal()}
    problems |= {HTTPStatus(status) for status in own}
    for response in good.values():
        _complete_good(response, method, scope, schemas)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        _give_example(content, schemas)
    operation["responses"] = good | {
        str(status.value): {"$ref": f"#/components/responses/{parts.problem_name(status)}"}
        for status in sorted(problems)
    }


def _as_text(parameter: Json) -> Json:
    """Describe a list with commas between as the text that it is: generated clients would repeat the parameter."""
    if parameter.get("explode", True):
        return {}
    values = "|".join(parameter["schema"]["items"]["enum"])
    text = {"type": "string", "pattern": f"^({values})(,({values}))*$"}
    return {"schema": text, "example": ",".join(parameter["schema"]["items"]["enum"][1:4])}


def _problems(
    operation: Json, path: str, method: str, scope: str | None, query: set[str | None]
) -> Iterator[HTTPStatus]:
    """Say what can go wrong with an operation, from what it is."""
    yield HTTPStatus.INTERNAL_SERVER_ERROR
    yield HTTPStatus.UNPROCESSABLE_ENTITY  # to a parameter that is given twice, wherever it is
    if "{" in path:
        yield HTTPStatus.NOT_FOUND
    if "cursor" in query:
        yield HTTPStatus.BAD_REQUEST
    if scope:
        yield from (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        yield from (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
    if scope and method in WRITING:  # for its Idempotency-Key, and the body that belongs to it
        yield from (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if "requestBody" in operation:
        yield from (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        yield HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def _complete_good(response: Json, method: str, scope: str | None, schemas: Json) -> None:
    given = ["X-Request-Id", *(parts.LEFT if scope else ())]
    if scope and method == "get":
        given.append("As-Of")
    if scope and method in WRITING:
        given.append("Idempotent-Replayed")
    response["headers"] = parts.headers(*given) | response.get("headers", {})
    for content in response.get("content", {}).values():
        _give_example(content, schemas)


def _give_example(content: Json, schemas: Json) -> None:
    if not {"example", "examples"} & content.keys() and content.get("schema"):
        content["example"] = example_of(content["schema"], schemas)


def _laid_over(schema: Json, rules: Json) -> Json:
    both = {name for name in rules if isinstance(rules[name], dict) and isinstance(schema.get(name), dict)}
    return schema | {name: _laid_over(schema[name], one) if name in both else one for name, one in rules.items()}


def _operation_id(path: str, method: str) -> str:
    """Name an operation that does not name itself."""
    words = re.findall(r"[A-Za-z0-9]+", path.removeprefix("/v1"))
    return method + "".join(word.capitalize() for word in words)


def _plain_json_schema(node: Any) -> Any:  # noqa: ANN401 (JSON)
    """Write schemas as OpenAPI 3.1 does: it has ``examples``, as JSON Schema, where 3.0 had ``example``."""
    if isinstance(node, list):
        return [_plain_json_schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    node = {name: _plain_json_schema(one) for name, one in node.items()}
    is_schema = "in" not in node and isinstance(node.get("type"), str | list) and "example" in node
    if is_schema:
        node["examples"] = [node.pop("example")]
    return node


def _without_unused(document: Json) -> Json:
    """Leave out components that nothing refers to."""
    while True:
        used = set(_references(document["paths"])) | set(_references(document["components"]))
        kept = {
            kind: {
                name: one
                for name, one in components.items()
                if kind == "securitySchemes" or f"#/components/{kind}/{name}" in used
            }
            for kind, components in document["components"].items()
        }
        if kept == document["components"]:
            return document
        document["components"] = kept


def _references(node: Any) -> Iterator[str]:  # noqa: ANN401 (JSON)
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for one in node.values():
            yield from _references(one)
    elif isinstance(node, list):
        for one in node:
            yield from _references(one)
