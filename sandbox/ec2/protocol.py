"""The wire of EC2 and STS, out of botocore's own service models: no action is described by hand.

Requests are forms with dotted names (`Filter.1.Value.2`), answers are XML. Names follow the models' serialisation
traits in the same way as botocore's client does (protocols `ec2` and `query`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from sandbox.ec2.errors import Ec2Fault

Tree = dict[str, Any]
Serialise = Callable[[Any, list[str]], None]


@cache
def _service(name: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(name)


@cache
def operation(service: str, action: str) -> OperationModel | None:
    """The model of an action, None for one that the service does not have."""
    model = _service(service)
    return model.operation_model(action) if action in model.operation_names else None


# -- requests ---------------------------------------------------------------------------------------------------------


def parse(service: str, action: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a request as the SDK's user gave them. Raises Ec2Fault for what the model does not know."""
    model = operation(service, action)
    if model is None:
        raise Ec2Fault("InvalidAction", f"The action {action} is not valid for this web service.")
    tree: Tree = {}
    for name, value in form.items():
        if name in {"Action", "Version"}:
            continue
        node = tree
        *path, last = name.split(".")
        for part in path:
            below = node.setdefault(part, {})
            if not isinstance(below, dict):
                raise Ec2Fault("InvalidQueryParameter", f"The parameter {name} contradicts another.")
            node = below
        node[last] = value
    return _structure(model.input_shape, tree) if model.input_shape is not None else {}


def _input_name(name: str, shape: Shape) -> str:
    explicit = shape.serialization.get("queryName")
    if explicit:
        return str(explicit)
    given = shape.serialization.get("name", name)
    return str(given[0].upper() + given[1:])


@cache
def _input_names(shape: StructureShape) -> dict[str, tuple[str, Shape]]:
    return {_input_name(name, member): (name, member) for name, member in shape.members.items()}


def _structure(shape: StructureShape, tree: Tree) -> dict[str, Any]:
    names = _input_names(shape)
    result: dict[str, Any] = {}
    for key, value in tree.items():
        if key not in names:
            raise Ec2Fault("UnknownParameter", f"The parameter {key} is not recognized")
        name, member = names[key]
        result[name] = _value(member, value, key)
    return result


def _value(shape: Shape, value: Any, key: str) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(shape, _tree(value, key))
    if isinstance(shape, ListShape):
        items = _tree(value, key)
        inner = items.get("member", items)  # the query protocol has one level more
        try:
            return [_value(shape.member, inner[number], key) for number in sorted(inner, key=int)]
        except ValueError as error:
            raise Ec2Fault("InvalidQueryParameter", f"The list {key} has an item without a number.") from error
    return _scalar(shape.type_name, value, key)


def _tree(value: Any, key: str) -> Tree:
    if not isinstance(value, dict):
        raise Ec2Fault("InvalidQueryParameter", f"The parameter {key} is not a single value.")
    return value


def _scalar(kind: str, value: Any, key: str) -> Any:
    if not isinstance(value, str):
        raise Ec2Fault("InvalidQueryParameter", f"The parameter {key} is a single value.")
    try:
        match kind:
            case "integer" | "long":
                return int(value)
            case "float" | "double":
                return float(value)
            case "boolean":
                return {"true": True, "false": False}[value.lower()]
            case "timestamp":
                return datetime.fromisoformat(value)
            case _:
                return value
    except (ValueError, KeyError) as error:
        raise Ec2Fault("InvalidParameterValue", f"Value ({value}) for parameter {key} is invalid.") from error


# -- answers ----------------------------------------------------------------------------------------------------------


def ec2_answer(action: str, result: dict[str, Any], request_id: str) -> str:
    """The XML of a successful EC2 call; actions without a result say `return` true, as EC2 does."""
    model = operation("ec2", action)
    out = [
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        f'<{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>{request_id}</requestId>',
    ]
    if model is None or model.output_shape is None:
        out.append("<return>true</return>")
    else:
        _serialiser(model.output_shape)(result, out)
    out.append(f"</{action}Response>")
    return "".join(out)


def ec2_error(fault: Ec2Fault, request_id: str) -> str:
    """The XML of a failed EC2 call."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
        f"<Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message>"
        f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    )


def query_answer(service: str, action: str, result: dict[str, Any], request_id: str) -> str:
    """The XML of a successful call of a service with the query protocol (STS)."""
    model = operation(service, action)
    out = [f'<{action}Response xmlns="{_service(service).metadata.get("xmlNamespace", "")}"><{action}Result>']
    if model is not None and model.output_shape is not None:
        _serialiser(model.output_shape)(result, out)
    out.append(f"</{action}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>")
    out.append(f"</{action}Response>")
    return "".join(out)


def query_error(fault: Ec2Fault, request_id: str) -> str:
    """The XML of a failed call of a service with the query protocol."""
    kind = "Sender" if fault.status < 500 else "Receiver"
    return (
        f"<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(fault.code)}</Code>"
        f"<Message>{escape(fault.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )


@cache
def _serialiser(shape: Shape) -> Serialise:
    """A function that appends the XML of a value of this shape; made once a shape, for speed."""
    if isinstance(shape, StructureShape):
        return _structure_serialiser(shape)
    if isinstance(shape, ListShape):
        tag = shape.member.serialization.get("name", "member")
        each = _serialiser(shape.member)

        def items(value: Any, out: list[str]) -> None:
            for item in value:
                out.append(f"<{tag}>")
                each(item, out)
                out.append(f"</{tag}>")

        return items
    if isinstance(shape, MapShape):
        raise NotImplementedError(f"no answer of EC2 or STS that the sandbox gives has a map: {shape.name}")
    match shape.type_name:
        case "boolean":
            return lambda value, out: out.append("true" if value else "false")
        case "timestamp":
            return lambda value, out: out.append(value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"))
        case "integer" | "long" | "float" | "double":
            return lambda value, out: out.append(str(value))
        case _:
            return lambda value, out: out.append(escape(str(value)))


def _structure_serialiser(shape: StructureShape) -> Serialise:
    members = {name: member.serialization.get("name", name) for name, member in shape.members.items()}

    def structure(value: Any, out: list[str]) -> None:
        for name, item in value.items():
            if item is not None:
                tag = members[name]
                out.append(f"<{tag}>")
                _serialiser(shape.members[name])(item, out)
                out.append(f"</{tag}>")

    return structure
