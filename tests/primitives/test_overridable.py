"""Who answers a call: every public operation and every member of Tensor asks `__torch_function__`, in its own name."""

import inspect
import pickle
from types import FunctionType

import pytest

import lamina
import lamina.fft
import lamina.linalg
import lamina.nn.functional as F
import lamina.special
from lamina.primitives.methods import METHODS, NOT_ASKED, PROPERTIES


class Foreign:
    """Something that is no tensor and answers for one."""

    asked: list = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        Foreign.asked.append(func)
        return "answered"


class Answering(lamina.Tensor):
    __torch_function__ = classmethod(Foreign.__torch_function__.__func__)


ROOMS = {"lamina": lamina, "F": F, "linalg": lamina.linalg, "fft": lamina.fft, "special": lamina.special}
SILENT = lamina._ASKING_MODES_ALONE | {
    "broadcast_shapes",
    "fftfreq",
    "rfftfreq",
    "result_type",
    "initial_seed",
    "manual_seed",
    "seed",
}


def operations():
    for room, module in ROOMS.items():
        for name, value in vars(module).items():
            known = getattr(value, "__module__", None) in {m.__name__ for m in ROOMS.values()}
            if isinstance(value, FunctionType) and known and not name.startswith("_") and name not in SILENT:
                if any(p.default is p.empty for p in inspect.signature(value).parameters.values()):
                    yield pytest.param(value, id=f"{room}.{name}")


def given(function, value):
    """Arguments for all that the function must be given; where it takes several tensors, a list."""
    found = []
    for p in inspect.signature(function).parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            found += [value, value]
        elif p.default is p.empty and p.kind is not p.KEYWORD_ONLY and p.kind is not p.VAR_KEYWORD:
            found.append([value, value] if p.name in ("tensors", "operands") else value)
    return found


@pytest.mark.parametrize("function", [*operations()])
def test_an_operation_asks_in_its_own_name(function):
    Foreign.asked.clear()
    assert function(*given(function, Foreign())) == "answered"
    assert [f.__name__ for f in Foreign.asked] == [function.__name__]


@pytest.mark.parametrize("function", [*operations()])
def test_an_operation_is_pickled_by_its_public_name(function):
    assert pickle.loads(pickle.dumps(function)) is function


@pytest.mark.parametrize(
    "name", sorted(n for n, f in METHODS.items() if type(f) is FunctionType and n not in NOT_ASKED)
)
def test_a_method_asks_first(name):
    Foreign.asked.clear()
    made = lamina.ones(2).as_subclass(Answering)
    method = getattr(made, name)
    assert method(*given(method, made)) == "answered"
    assert len(Foreign.asked) == 1


@pytest.mark.parametrize("name", [*PROPERTIES, "shape", "dtype", "ndim", "device", "_base", "_version"])
def test_a_property_asks_first(name):
    made = lamina.ones(2).as_subclass(Answering)
    Foreign.asked.clear()
    assert getattr(made, name) == "answered"
    assert Foreign.asked == [getattr(lamina.Tensor, name).__get__]


def test_a_subclass_without_an_answer_of_its_own_pays_nothing_and_stays_itself():
    class Plain(lamina.Tensor):
        pass

    assert "view" not in vars(Plain)
    assert type(F.linear(lamina.ones(2, 3).as_subclass(Plain), lamina.ones(4, 3))) is Plain


def test_modes_see_factories_and_operations_and_their_own_calls_pass():
    seen = []

    class Mode(lamina.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func.__name__)
            return func(*args, **(kwargs or {}))

    with Mode():
        x = lamina.ones(3)
        F.relu(lamina.cat([x, lamina.tensor([1.0])])).sum()
    assert seen == ["ones", "tensor", "cat", "relu", "sum"]


def test_operations_written_in_python_there_get_all_arguments_by_name():
    class Spelled:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return len(args), kwargs

    assert F.dropout(Spelled(), 0.3) == (1, {"p": 0.3, "training": True, "inplace": False})
    assert F.conv2d(Spelled(), None, None, 2) == (4, {})


def test_declining_is_an_error_that_names_the_types():
    class Declines:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    with pytest.raises(TypeError, match="(?s)Multiple dispatch failed for 'torch.relu'.*Declines"):
        lamina.relu(Declines())


def test_what_asks_can_be_listed_and_named():
    listed = lamina.overrides.get_testing_overrides()
    assert {lamina.add, F.relu, lamina.Tensor.view, lamina.Tensor.shape.__get__} <= set(listed)
    assert {lamina.ones, lamina.tensor} <= lamina.overrides.get_ignored_functions()
    assert listed[F.linear](1, 2) == -1
    assert lamina.overrides.resolve_name(F.relu) == "torch.nn.functional.relu"
    assert lamina.overrides.resolve_name(len) is None


def test_einsum_shows_its_operands_one_by_one():
    class Counting:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return len(args)

    assert lamina.einsum("i,i->", (Counting(), lamina.ones(2))) == 3
