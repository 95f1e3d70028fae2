"""Plain values in a pickled array of objects, read without unpickling anything.

NumPy writes an array of objects as a pickle: a program for a stack machine. Here the
few instructions that put down literals are followed, and calls are only noted, never
made. Whatever else an array holds, it is not read.
"""

import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np

# Instructions whose argument is the value they put down.
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ARRAY = "multiarray _reconstruct"
_SCALAR = "multiarray scalar"
_DTYPE = "numpy dtype"
_MARK = object()


@dataclass(frozen=True)
class _Name:
    """A function that the pickle names."""

    text: str


@dataclass
class _Call:
    """A call that the pickle asks for; nobody makes it."""

    name: Any
    arguments: Any
    state: Any = None

    def of(self, name: str) -> bool:
        return isinstance(self.name, _Name) and self.name.text.endswith(name)


class _Other(Exception):
    """Something that is no plain value."""


def plain_values(pickled: bytes, n: int) -> list[Any] | None:
    """The n values of a pickled array of objects.

    Returns:
        None, booleans, integers, floats, strings and bytes; or None in place of the
        list if there is anything else among them.
    """
    try:
        call = _followed(pickled)
        if not isinstance(call, _Call) or not call.of(_ARRAY):
            return None
        _, shape, _, _, values = call.state
        if shape != (n,) or len(values) != n:
            return None
        return [_value(value) for value in values]
    except (_Other, ValueError, TypeError, LookupError, AttributeError):
        return None


def _followed(pickled: bytes) -> Any:
    """What the pickle leaves on its stack, with calls noted in place of results."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def to_mark() -> list[Any]:
        items = []
        while (item := stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    argument: Any
    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "APPEND":
            item = stack.pop()
            stack[-1].append(item)
        elif name == "APPENDS":
            items = to_mark()
            stack[-1].extend(items)
        elif name == "TUPLE":
            stack.append(tuple(to_mark()))
        elif name in _TUPLES:
            items = stack[-_TUPLES[name] :]
            stack[-_TUPLES[name] :] = [tuple(items)]
        elif name == "GLOBAL":
            stack.append(_Name(argument))
        elif name == "STACK_GLOBAL":
            function, module = stack.pop(), stack.pop()
            stack.append(_Name(f"{module} {function}"))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_Call(function, arguments))
        elif name == "BUILD":
            state = stack.pop()
            stack[-1].state = state
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise _Other
    raise _Other


def _value(found: Any) -> Any:
    if found is None or isinstance(found, bool | int | float | str | bytes):
        return found
    if not isinstance(found, _Call) or not found.of(_SCALAR):
        raise _Other
    dtype, raw = found.arguments
    if not isinstance(dtype, _Call) or not dtype.of(_DTYPE):
        raise _Other
    code, order = dtype.arguments[0], dtype.state[1]
    if code[0] not in "iufb" or order not in ("<", ">", "|", "="):
        raise _Other
    return np.frombuffer(raw, np.dtype(f"{order}{code}"))[0]
