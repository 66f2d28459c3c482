"""A pickle reader that never runs what a file asks for: `weights_only=True`.

Pickle is a small stack machine. This one knows its opcodes, builds plain containers itself, calls nothing but what is
in `_CALLS` and what the user has allowed, and does no more work than the length of the file warrants.
Not here: which names are known (names.py, safe_globals.py), where the bytes of storages come from (serialization.py).
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.io import names, rebuild
from lamina.io.safe_globals import BLOCKED_MODULES, users_table

_LONGEST_NAME = 1000
_LONGEST_KEY = 1000
_DICTS = (dict, OrderedDict, Counter)
_MAL = (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, struct.error)

Handler = Callable[["WeightsUnpickler"], None]
_HANDLERS: dict[int, Handler] = {}


class UnsupportedGlobal(UnpicklingError):
    """The file names something that is not allowed; `full_name` says what."""

    def __init__(self, full_name: str, message: str) -> None:
        super().__init__(full_name, message)
        self.full_name = full_name
        self.message = message

    def __str__(self) -> str:
        return self.message


def _opcode(code: bytes) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        _HANDLERS[code[0]] = handler
        return handler

    return register


class WeightsUnpickler:
    """Reads one pickle from `data` (bytes or mmap), starting at `position`, where it leaves off afterwards.

    Raises UnpicklingError for anything but containers, numbers, text, tensors, and what users allow; EOFError where
    there is no pickle at all.
    """

    def __init__(
        self,
        data: Any,
        *,
        position: int = 0,
        persistent_load: Callable[[Any], Any] | None = None,
        encoding: str = "utf-8",
    ) -> None:
        self.data = data
        self.position = position
        self.end = len(data)
        self.persistent_load = persistent_load
        self.encoding = encoding
        self.users = users_table()
        self.in_users_code = False  # whose exceptions say nothing about the file
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        # A call may copy a container; the file can ask for it again and again at the cost of a few bytes each.
        self.copies_left = self.end - position + 2**16

    def load(self) -> Any:
        if self.position >= self.end:
            raise EOFError("Ran out of input")
        data, handlers = self.data, _HANDLERS
        try:
            while True:
                code = data[self.position]
                self.position += 1
                if code == _STOP:
                    return self.stack.pop()
                handler = handlers.get(code)
                if handler is None:
                    raise UnpicklingError(f"Unsupported operand {code}")
                handler(self)
        except _MAL as error:
            if self.in_users_code:
                raise
            if isinstance(error, IndexError) and self.position >= self.end:
                raise UnpicklingError("pickle data was truncated") from error
            raise UnpicklingError(f"malformed pickle before byte {self.position}: {error}") from error

    def take(self, n: int) -> bytes:
        """The next n bytes. A length that the file merely claims costs nothing: it is compared first."""
        start = self.position
        if n > self.end - start:
            raise UnpicklingError("pickle data was truncated")
        self.position = start + n
        return self.data[start : start + n]  # type: ignore[no-any-return]

    def unsigned(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def line(self) -> str:
        stop = self.data.find(b"\n", self.position, self.position + _LONGEST_NAME)
        if stop < 0:
            raise UnpicklingError("pickle data was truncated")
        text = self.take(stop - self.position).decode("utf-8")
        self.position += 1
        return text

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def legacy_text(self, raw: bytes) -> str | bytes:
        return raw if self.encoding == "bytes" else raw.decode(self.encoding)

    def charge(self, copied: Any) -> None:
        self.copies_left -= len(copied)
        if self.copies_left < 0:
            raise UnpicklingError("the file asks for more copies of its containers than its length warrants")

    def find_global(self, module: str, name: str) -> Any:
        """The object of that name, if a file may use it. Raises UnsupportedGlobal."""
        module = names.modern_module(module)
        full_name = f"{module}.{name}"
        if module.split(".", 1)[0] in BLOCKED_MODULES:
            raise UnsupportedGlobal(
                full_name, f"Trying to load unsupported GLOBAL {full_name} whose module {module} is blocked."
            )
        found = names.SAFE.get(full_name, self.users.get(full_name))
        if found is None and names.is_torch(module):
            # A user allows lamina's class; the file calls it by PyTorch's name.
            own = names.loaded_object(module, name, importing=False)
            found = own if any(own is allowed for allowed in self.users.values()) else None
        if found is None:
            shown = full_name.removeprefix("builtins.")
            raise UnsupportedGlobal(
                full_name,
                f"Unsupported global: GLOBAL {shown} was not an allowed global by default. Please use "
                f"`torch.serialization.add_safe_globals([{shown}])` or the "
                f"`torch.serialization.safe_globals([{shown}])` context manager to allowlist this global if you trust "
                "this class/function.",
            )
        return found

    def is_users(self, found: Any) -> bool:
        return any(found is allowed for allowed in self.users.values())

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call code of the user, whose exceptions pass unchanged."""
        self.in_users_code = True
        found = function(*arguments)
        self.in_users_code = False
        return found

    def call(self, function: Any, arguments: Any) -> Any:
        if type(arguments) is not tuple:
            raise UnpicklingError(f"arguments must be a tuple, the file gives a {type(arguments).__name__}")
        for allowed, builder in _CALLS:
            if function is allowed:
                return builder(self, *arguments)
        if self.is_users(function):
            return self.run(function, *arguments)
        # Never its repr: shared lists can print exponentially longer than they are.
        raise UnpicklingError(f"Trying to call reduce for unrecognized function {_title(function)}")

    def new(self, cls: Any, arguments: Any) -> Any:
        if isinstance(cls, type) and self.is_users(cls):
            return self.run(cls.__new__, cls, *arguments)
        raise UnpicklingError(f"Trying to create new object for unrecognized class {_title(cls)}")

    def build(self, instance: Any, state: Any) -> None:
        cls = type(instance)
        if cls in (OrderedDict, Counter):
            # A module's state_dict carries `_metadata` as an attribute.
            if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
                raise UnpicklingError("the attributes of a dict must have names")
            vars(instance).update(state)
        elif self.is_users(cls):
            if hasattr(instance, "__setstate__"):
                self.run(instance.__setstate__, state)
            elif issubclass(cls, Tensor):
                rebuild.with_state(instance, state)
            else:
                attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
                vars(instance).update(attributes or {})
                for name, value in (slots or {}).items():
                    setattr(instance, name, value)
        else:
            raise UnpicklingError(f"Can only build Tensor, Parameter, OrderedDict or types allowlisted, but got {cls}")

    def set_items(self, target: Any, items: list[Any]) -> None:
        if type(target) not in _DICTS:
            raise UnpicklingError(f"items are set on a {type(target).__name__}, which is not a dict")
        if len(items) % 2:
            raise UnpicklingError("odd number of items for a dict")
        for i in range(0, len(items), 2):
            check_key(items[i])
            target[items[i]] = items[i + 1]

    def append_items(self, target: Any, items: list[Any]) -> None:
        if type(target) is not list:
            raise UnpicklingError(f"items are appended to a {type(target).__name__}, which is not a list")
        target.extend(items)


def _title(found: Any) -> str:
    return str(getattr(found, "__name__", None) or f"of type {type(found).__name__}")


def check_key(key: Any) -> None:
    """Refuse a key whose hash would be expensive: nested tuples can be few bytes in a file and astronomically large."""
    if type(key) is str or not isinstance(key, (tuple, frozenset)):
        return
    pending, seen = [key], 0
    while pending:
        found = pending.pop()
        seen += 1
        if seen > _LONGEST_KEY:
            raise UnpicklingError("a key of a dict or set is too large")
        if isinstance(found, (tuple, frozenset)):
            if len(found) > _LONGEST_KEY:
                raise UnpicklingError("a key of a dict or set is too large")
            pending.extend(found)


# ---- calls that a file may ask for -----------------------------------------------------------------------------------


def _ordered_dict(reader: WeightsUnpickler, pairs: Any = ()) -> Any:
    reader.charge(pairs)
    made: OrderedDict[Any, Any] = OrderedDict()
    for key, value in pairs:
        check_key(key)
        made[key] = value
    return made


def _counter(reader: WeightsUnpickler, counts: Any = None) -> Any:
    counts = {} if counts is None else counts
    if not isinstance(counts, dict):
        raise UnpicklingError("a Counter is made from a dict")
    reader.charge(counts)
    return Counter(counts)


def _set(reader: WeightsUnpickler, elements: Any = ()) -> Any:
    if not isinstance(elements, (list, tuple)):
        raise UnpicklingError("a set is made from a list")
    reader.charge(elements)
    for element in elements:
        check_key(element)
    return set(elements)


def _encode(reader: WeightsUnpickler, text: Any, encoding: Any) -> Any:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise UnpicklingError("text is encoded as latin1 only, which is how bytes are saved")
    reader.charge(text)
    return text.encode("latin1")


def _bytearray(reader: WeightsUnpickler, content: Any = b"", encoding: Any = "latin1") -> Any:
    if isinstance(content, str):
        content = _encode(reader, content, encoding)
    if not isinstance(content, bytes):
        raise UnpicklingError("a bytearray is made from bytes: a mere length is not enough")
    reader.charge(content)
    return bytearray(content)


def _complex(reader: WeightsUnpickler, real: Any, imag: Any) -> Any:
    if type(real) is not float or type(imag) is not float:
        raise UnpicklingError("a complex number is made from two floats")
    return complex(real, imag)


def _size(reader: WeightsUnpickler, dims: Any) -> Any:
    if not isinstance(dims, (tuple, list)) or not all(type(d) is int for d in dims):
        raise UnpicklingError("a Size is made from whole numbers")
    reader.charge(dims)
    return lamina.Size(dims)


def _trusted(function: Any) -> Any:
    """A function that checks its arguments itself."""
    return lambda reader, *arguments: function(*arguments)


_CALLS: tuple[tuple[Any, Any], ...] = (
    *((function, _trusted(function)) for function in rebuild.IN_UTILS),
    (rebuild._rebuild_from_type_v2, _trusted(rebuild._rebuild_from_type_v2)),
    (rebuild._get_layout, _trusted(rebuild._get_layout)),
    (lamina.device, _trusted(lamina.device)),
    (lamina.Size, _size),
    (OrderedDict, _ordered_dict),
    (Counter, _counter),
    (set, _set),
    (rebuild.ENCODE, _encode),
    (bytearray, _bytearray),
    (complex, _complex),
)


# ---- opcodes ---------------------------------------------------------------------------------------------------------

_STOP = pickle.STOP[0]


def _constant(code: bytes, value: Any) -> None:
    _HANDLERS[code[0]] = lambda reader: reader.stack.append(value)


def _fresh(code: bytes, make: Callable[[], Any]) -> None:
    _HANDLERS[code[0]] = lambda reader: reader.stack.append(make())


def _number(code: bytes, layout: str) -> None:
    unpack, width = struct.Struct(layout).unpack, struct.calcsize(layout)
    _HANDLERS[code[0]] = lambda reader: reader.stack.append(unpack(reader.take(width))[0])


def _counted(code: bytes, width: int, convert: Callable[[WeightsUnpickler, bytes], Any]) -> None:
    """An opcode followed by a length of `width` bytes and as many bytes of content."""

    def handler(reader: WeightsUnpickler) -> None:
        reader.stack.append(convert(reader, reader.take(reader.unsigned(width))))

    _HANDLERS[code[0]] = handler


def _text(reader: WeightsUnpickler, raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _raw(reader: WeightsUnpickler, raw: bytes) -> bytes:
    return raw


for _code, _value in ((pickle.NONE, None), (pickle.NEWTRUE, True), (pickle.NEWFALSE, False), (pickle.EMPTY_TUPLE, ())):
    _constant(_code, _value)
for _code, _make in ((pickle.EMPTY_LIST, list), (pickle.EMPTY_DICT, dict), (pickle.EMPTY_SET, set)):
    _fresh(_code, _make)
for _code, _layout in ((pickle.BININT, "<i"), (pickle.BININT1, "<B"), (pickle.BININT2, "<H"), (pickle.BINFLOAT, ">d")):
    _number(_code, _layout)
for _code, _width in ((pickle.SHORT_BINUNICODE, 1), (pickle.BINUNICODE, 4), (pickle.BINUNICODE8, 8)):
    _counted(_code, _width, _text)
for _code, _width in ((pickle.SHORT_BINBYTES, 1), (pickle.BINBYTES, 4), (pickle.BINBYTES8, 8)):
    _counted(_code, _width, _raw)
for _code, _width in ((pickle.SHORT_BINSTRING, 1), (pickle.BINSTRING, 4)):
    _counted(_code, _width, WeightsUnpickler.legacy_text)
for _code, _width in ((pickle.LONG1, 1), (pickle.LONG4, 4)):
    _counted(_code, _width, lambda reader, raw: int.from_bytes(raw, "little", signed=True))
_counted(pickle.BYTEARRAY8, 8, lambda reader, raw: bytearray(raw))


@_opcode(pickle.PROTO)
def _proto(reader: WeightsUnpickler) -> None:
    version = reader.unsigned(1)
    if not 2 <= version <= pickle.HIGHEST_PROTOCOL:
        raise UnpicklingError(f"unsupported pickle protocol: {version}")


@_opcode(pickle.FRAME)
def _frame(reader: WeightsUnpickler) -> None:
    reader.unsigned(8)  # a hint for reading ahead


@_opcode(pickle.MARK)
def _mark(reader: WeightsUnpickler) -> None:
    reader.marks.append(reader.stack)
    reader.stack = []


@_opcode(pickle.POP)
def _pop(reader: WeightsUnpickler) -> None:
    if reader.stack:
        reader.stack.pop()
    else:
        reader.pop_mark()


@_opcode(pickle.POP_MARK)
def _pop_mark(reader: WeightsUnpickler) -> None:
    reader.pop_mark()


@_opcode(pickle.TUPLE)
def _tuple(reader: WeightsUnpickler) -> None:
    items = tuple(reader.pop_mark())
    reader.stack.append(items)


def _short_tuple(code: bytes, length: int) -> None:
    def handler(reader: WeightsUnpickler) -> None:
        stack = reader.stack
        if len(stack) < length:
            raise UnpicklingError("the stack of the pickle is too short for a tuple")
        stack[-length:] = [tuple(stack[-length:])]

    _HANDLERS[code[0]] = handler


for _code, _length in ((pickle.TUPLE1, 1), (pickle.TUPLE2, 2), (pickle.TUPLE3, 3)):
    _short_tuple(_code, _length)


@_opcode(pickle.LIST)
def _list(reader: WeightsUnpickler) -> None:
    items = reader.pop_mark()
    reader.stack.append(items)


@_opcode(pickle.DICT)
def _dict(reader: WeightsUnpickler) -> None:
    items, made = reader.pop_mark(), {}
    reader.set_items(made, items)
    reader.stack.append(made)


@_opcode(pickle.APPEND)
def _append(reader: WeightsUnpickler) -> None:
    item = reader.stack.pop()
    reader.append_items(reader.stack[-1], [item])


@_opcode(pickle.APPENDS)
def _appends(reader: WeightsUnpickler) -> None:
    items = reader.pop_mark()
    reader.append_items(reader.stack[-1], items)


@_opcode(pickle.ADDITEMS)
def _add_items(reader: WeightsUnpickler) -> None:
    items, target = reader.pop_mark(), reader.stack[-1]
    if type(target) is not set:
        raise UnpicklingError(f"elements are added to a {type(target).__name__}, which is not a set")
    for item in items:
        check_key(item)
        target.add(item)


@_opcode(pickle.SETITEM)
def _set_item(reader: WeightsUnpickler) -> None:
    value, key = reader.stack.pop(), reader.stack.pop()
    reader.set_items(reader.stack[-1], [key, value])


@_opcode(pickle.SETITEMS)
def _set_items(reader: WeightsUnpickler) -> None:
    items = reader.pop_mark()
    reader.set_items(reader.stack[-1], items)


@_opcode(pickle.BINPUT)
def _binput(reader: WeightsUnpickler) -> None:
    reader.memo[reader.unsigned(1)] = reader.stack[-1]


@_opcode(pickle.LONG_BINPUT)
def _long_binput(reader: WeightsUnpickler) -> None:
    reader.memo[reader.unsigned(4)] = reader.stack[-1]


@_opcode(pickle.MEMOIZE)
def _memoize(reader: WeightsUnpickler) -> None:
    reader.memo[len(reader.memo)] = reader.stack[-1]


@_opcode(pickle.BINGET)
def _binget(reader: WeightsUnpickler) -> None:
    reader.stack.append(reader.memo[reader.unsigned(1)])


@_opcode(pickle.LONG_BINGET)
def _long_binget(reader: WeightsUnpickler) -> None:
    reader.stack.append(reader.memo[reader.unsigned(4)])


@_opcode(pickle.GLOBAL)
def _global(reader: WeightsUnpickler) -> None:
    module = reader.line()
    reader.stack.append(reader.find_global(module, reader.line()))


@_opcode(pickle.STACK_GLOBAL)
def _stack_global(reader: WeightsUnpickler) -> None:
    name, module = reader.stack.pop(), reader.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise UnpicklingError("the name of a global must be text")
    reader.stack.append(reader.find_global(module, name))


@_opcode(pickle.REDUCE)
def _reduce(reader: WeightsUnpickler) -> None:
    arguments = reader.stack.pop()
    reader.stack[-1] = reader.call(reader.stack[-1], arguments)


@_opcode(pickle.NEWOBJ)
def _newobj(reader: WeightsUnpickler) -> None:
    arguments = reader.stack.pop()
    reader.stack[-1] = reader.new(reader.stack[-1], arguments)


@_opcode(pickle.BUILD)
def _build(reader: WeightsUnpickler) -> None:
    state = reader.stack.pop()
    reader.build(reader.stack[-1], state)


@_opcode(pickle.BINPERSID)
def _persistent(reader: WeightsUnpickler) -> None:
    if reader.persistent_load is None:
        raise UnpicklingError("a persistent id where there can be none")
    reader.stack.append(reader.run(reader.persistent_load, reader.stack.pop()))
