"""The schemas are contracts: what they show is what is written, and the structs are what they say."""

import json

import jsonschema
import pytest

from bus.events import EVENT_TYPES, decode_event, encode_event
from bus.schema import FOLDER, schema_of, schema_path

KINDS = sorted(EVENT_TYPES.values(), key=lambda kind: kind.TYPE)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.TYPE)
def stored(request):
    return request.param, json.loads(schema_path(request.param).read_text())


def test_every_type_has_its_schema_and_every_schema_its_type():
    assert {path.name for path in FOLDER.iterdir()} == {f"{kind.TYPE}.json" for kind in KINDS}


def test_the_struct_and_its_schema_agree(stored):
    kind, schema = stored
    assert {name: part for name, part in schema.items() if name != "examples"} == schema_of(kind)


def test_a_schema_is_a_schema(stored):
    jsonschema.Draft202012Validator.check_schema(stored[1])


def test_its_two_examples_are_valid_and_are_written_exactly_so(stored):
    kind, schema = stored
    assert len(schema["examples"]) == 2
    for example in schema["examples"]:
        jsonschema.Draft202012Validator(schema).validate(example)
        event = decode_event(json.dumps(example).encode())
        assert type(event) is kind
        assert json.loads(encode_event(event)) == example


def test_a_field_that_is_not_known_is_allowed_and_a_wrong_one_is_not(stored):
    _, schema = stored
    validator = jsonschema.Draft202012Validator(schema)
    example = schema["examples"][0]
    validator.validate(example | {"later": 1, "data": example["data"] | {"later": 1}})
    assert not validator.is_valid(example | {"specversion": "0.3"})
    assert not validator.is_valid(example | {"data": {}})
