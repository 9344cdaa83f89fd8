"""The documents themselves: valid, whole, and with examples that are what they are examples of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from api.docs import make_documents
from tests.api.desk import Desk

DOCUMENTS = make_documents(Desk().operations, public_url="https://mooring.example/base")
OPENAPI = msgspec.json.decode(msgspec.json.encode(DOCUMENTS.openapi))
ASYNCAPI = msgspec.json.decode(msgspec.json.encode(DOCUMENTS.asyncapi))


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                yield inner
            else:
                yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def resolve(document: Any, ref: str) -> Any:
    assert ref.startswith("#/")
    for part in ref[2:].split("/"):
        document = document[part]
    return document


def operations() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, entry in OPENAPI["paths"].items():
        for method, operation in entry.items():
            yield f"{method} {path}", operation


def validator(schema: Any, document: Any) -> jsonschema_rs.Validator:
    whole = {**schema, "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(whole)


def test_openapi_is_valid_by_the_specifications_own_schema() -> None:
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(OPENAPI)] == []


@pytest.mark.parametrize("document", [OPENAPI, ASYNCAPI], ids=["openapi", "asyncapi"])
def test_every_reference_leads_somewhere_inside(document: Any) -> None:
    found = set(refs(document))
    assert found
    for ref in found:
        resolve(document, ref)


@pytest.mark.parametrize("document", [OPENAPI, ASYNCAPI], ids=["openapi", "asyncapi"])
def test_every_schema_is_a_schema(document: Any) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(
            {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
        )
        validator(schema, document)


def test_names_of_schemas_say_nothing_of_modules() -> None:
    for document in (OPENAPI, ASYNCAPI):
        assert all("." not in name for name in document["components"]["schemas"])


def examples() -> Iterator[tuple[str, Any, Any]]:
    for name, operation in operations():
        media = operation.get("requestBody", {}).get("content", {})
        contents = [("body", media)]
        contents += [
            (status, response.get("content", {}))
            for status, response in operation["responses"].items()
        ]
        for where, content in contents:
            json = content.get("application/json", {})
            if "example" in json:
                yield f"{name} {where}", json["schema"], json["example"]
            for error, example in json.get("examples", {}).items():
                yield f"{name} {where} {error}", json["schema"], example["value"]


def test_every_example_is_what_its_schema_says() -> None:
    checked = 0
    for name, schema, example in examples():
        problems = [one.message for one in validator(schema, OPENAPI).iter_errors(example)]
        assert problems == [], name
        checked += 1
    assert checked > 300


def test_every_json_body_and_answer_has_an_example() -> None:
    for name, operation in operations():
        if "requestBody" in operation:
            assert "example" in operation["requestBody"]["content"]["application/json"], name
        for status, response in operation["responses"].items():
            for media, content in response.get("content", {}).items():
                if media == "application/json" and name.split()[1] not in {
                    "/openapi.json",
                    "/asyncapi.json",
                    "/get_booking_number",  # made from a portal's types
                    "/rest",
                }:
                    assert "example" in content or "examples" in content, f"{name} {status}"


def test_every_operation_has_an_id_of_its_own_a_summary_and_security() -> None:
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(set(ids)) == len(ids)
    schemes = set(OPENAPI["components"]["securitySchemes"])
    for name, operation in operations():
        assert operation["summary"], name
        assert operation["security"], name
        assert {one for choice in operation["security"] for one in choice} <= schemes
        assert set(operation["tags"]) <= {tag["name"] for tag in OPENAPI["tags"]}


def test_every_parameter_of_a_path_is_described_and_no_other() -> None:
    for name, operation in operations():
        path = name.split()[1]
        in_path = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert in_path == {
            part.partition("{")[2].partition("}")[0] for part in path.split("/") if "{" in part
        }, name


def test_every_link_leads_to_an_operation_by_parameters_that_it_has() -> None:
    by_id = {operation["operationId"]: operation for _, operation in operations()}
    links = 0
    for name, operation in operations():
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                target = by_id[link["operationId"]]
                known = {one["name"] for one in target.get("parameters", ())}
                assert set(link["parameters"]) <= known, name
                links += 1
    assert links > 15


def test_every_message_of_asyncapi_is_sent_or_received_by_its_channel() -> None:
    used = set()
    for operation in ASYNCAPI["operations"].values():
        channel = resolve(ASYNCAPI, operation["channel"]["$ref"])
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"])
            used.add(resolve(ASYNCAPI, message["$ref"])["$ref"])
        assert channel["bindings"]["ws"]["query"]["properties"]["after"]
        assert {"1000", "1008", "1012"} <= set(channel["x-close-codes"])
    assert used == {f"#/components/messages/{name}" for name in ASYNCAPI["components"]["messages"]}


def test_servers_are_where_the_public_url_says() -> None:
    assert OPENAPI["servers"] == [{"url": "https://mooring.example/base"}]
    assert ASYNCAPI["servers"]["mooring"] == {
        "host": "mooring.example",
        "pathname": "/base",
        "protocol": "wss",
    }


def test_events_of_hosted_sessions_are_described_without_the_visitors_side() -> None:
    channel = ASYNCAPI["channels"]["hosted_session"]
    for name, ref in channel["messages"].items():
        if name.startswith("session."):
            payload = resolve(ASYNCAPI, resolve(ASYNCAPI, ref["$ref"])["payload"]["$ref"])
            assert set(payload["properties"]) == {"type", "seq", "at", "data"}, name
    assert not {"Visit", "HandOver", "Recorded"} & set(ASYNCAPI["components"]["schemas"])
