"""torch.fx on its own (beside PyTorch's: tests/oracle/fx_programs.py): a traced module is the module, and can be changed."""

import pickle

import pytest

import lamina
from lamina import fx, nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)
        self.scale = nn.Parameter(lamina.full((4,), 2.0))

    def forward(self, x, *, shift=0.0):
        hidden = nn.functional.relu(self.first(x)) * self.scale
        return {"out": self.second(hidden) + shift, "hidden": hidden}


def test_a_traced_module_computes_and_learns_as_the_module():
    net = Net()
    traced = fx.symbolic_trace(net)
    x = lamina.randn(5, 3)
    expected, given = net(x, shift=1.0), traced(x, shift=1.0)
    assert lamina.equal(given["out"], expected["out"])
    given["out"].sum().backward()
    assert net.scale.grad is traced.scale.grad is not None  # they share parameters
    assert traced.state_dict().keys() == net.state_dict().keys()


def test_a_change_of_the_graph_is_one_of_the_program():
    traced = fx.symbolic_trace(Net())
    for node in traced.graph.find_nodes(op="call_function", target=nn.functional.relu):
        node.target, node.kwargs = lamina.sigmoid, {}
    traced.recompile()
    assert "torch.sigmoid(first)" in traced.code
    assert 0 < traced(lamina.zeros(1, 3))["hidden"].min()


def test_pickles_and_compiles():
    traced = fx.symbolic_trace(Net())
    x = lamina.randn(2, 3)
    again = pickle.loads(pickle.dumps(traced))
    assert lamina.equal(again(x)["out"], traced(x)["out"])
    compiled = lamina.compile(traced)
    for _ in range(3):
        lamina.testing.assert_close(compiled(x)["out"], traced(x)["out"])


def test_modules_and_their_functions_are_as_before_when_tracing_fails():
    call, get = nn.Module.__call__, nn.Module.__getattr__
    with pytest.raises(fx.proxy.TraceError, match="control flow"):
        fx.symbolic_trace(lambda x: x if x > 0 else -x)
    assert (nn.Module.__call__, nn.Module.__getattr__) == (call, get)


def test_a_subclass_says_which_modules_stay_whole():
    class Whole(fx.Tracer):
        def is_leaf_module(self, m, module_qualified_name):
            return isinstance(m, Net) or super().is_leaf_module(m, module_qualified_name)

    graph = Whole().trace(nn.Sequential(Net()))
    assert [(n.op, n.target) for n in graph.nodes] == [
        ("placeholder", "input"),
        ("call_module", "0"),
        ("output", "output"),
    ]


def test_an_error_while_running_names_the_node():
    traced = fx.symbolic_trace(Net())
    with pytest.raises(RuntimeError, match="mat1 and mat2") as raised:
        fx.Interpreter(traced).run(lamina.ones(2, 5), 0.0)
    assert any("%first" in note for note in raised.value.__notes__)
