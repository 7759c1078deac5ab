"""Holds every answer that a test gets against the OpenAPI document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from service.web.openapi.pages import described

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.test import TestResponse

# What HTTP itself says of an answer needs no description.
OF_HTTP = {"content-type", "content-length", "content-encoding", "date", "connection", "allow"}


class Document:
    """The document of an application, ready to judge answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = document["components"]
        self._paths = [
            (re.compile(re.sub(r"{[^}]+}", "[^/]+", path)), path, item) for path, item in document["paths"].items()
        ]
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def judge(self, method: str, path: str, answer: TestResponse) -> None:
        """Fail unless the document describes this answer: its status, headers, content type and body."""
        found = next(((name, item) for pattern, name, item in self._paths if pattern.fullmatch(path)), None)
        operation = found and found[1].get(method.lower())
        if not found or not operation:
            return  # a guard test sees to it that every route is described; a test may add one of its own
        where = f"{method} {found[0]} {answer.status_code}"
        assert str(answer.status_code) in operation["responses"], f"{where} is not described"
        response = self._resolved(operation["responses"][str(answer.status_code)])
        given = {name.lower() for name, _ in answer.headers} - OF_HTTP
        described = {name.lower(): self._resolved(one) for name, one in response["headers"].items()}
        assert given - described.keys() == set(), f"{where}: headers are not described"
        missing = {name for name, one in described.items() if one["required"]} - given
        assert missing == set(), where
        self._judge_body(where, response.get("content", {}), answer)

    def _judge_body(self, where: str, contents: dict[str, Any], answer: TestResponse) -> None:
        if not contents:
            assert answer.data == b"", where
            return
        assert answer.mimetype in contents, f"{where}: {answer.mimetype}"
        if "json" not in answer.mimetype:
            return
        if where not in self._validators:
            schema = contents[answer.mimetype]["schema"] | {"components": self._components}
            self._validators[where] = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        errors = [
            f"{error.instance_path}: {error.message}" for error in self._validators[where].iter_errors(answer.json)
        ]
        assert errors == [], where

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            kind, name = node["$ref"].removeprefix("#/components/").split("/")
            node = self._components[kind][name]
        return node


_documents: dict[str, Document] = {}


def document_of(app: Flask) -> Document:
    """Get the document, which is the same for every application."""
    if not _documents:
        _documents["the"] = Document(described(app).document())
    return _documents["the"]
