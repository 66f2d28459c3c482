"""Programs for test_module_oracle.py: torch.fx. What is shown is the text of graphs, and what they give."""

import copy
import math
import operator
import pickle


def _net(torch):
    nn = torch.nn

    class Part(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.scale = nn.Parameter(torch.ones(3))
            self.register_buffer("shift", torch.zeros(3))

        def forward(self, x, k: int = 2):
            y = nn.functional.relu(self.linear(x) + self.scale * self.shift).view(-1, x.shape[0])
            a, b = y.chunk(2)
            return {"a": a.sum(-1), "b": [torch.max(b), -y[0:2, None], 2 - y, y @ y.t(), y.add(1).relu_()]}

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = Part()
            self.stem = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Dropout(0.1))
            self.same = self.part

        def forward(self, input, *, max=None):
            z = self.stem(input)
            t = torch.cat([z, torch.zeros(1, 3)], dim=0)
            dropped = nn.functional.dropout(t, 0.5, self.training)
            return (
                self.part(z)["a"],
                torch.flatten(t, 1),
                dropped,
                z.size(0),
                t == z,
                t[..., 0],
                math.sqrt(2),
                torch.add(z, 3, alpha=2),
            )

    return Net()


def traced_modules(torch, show):
    """What a module does, as text; attributes, submodules, names that Python reserves."""
    traced = torch.fx.symbolic_trace(_net(torch))
    show("code", lambda: traced.code)
    show("graph", lambda: str(traced.graph))
    show("print", lambda: str(traced))
    show("parameters", lambda: [name for name, _ in traced.named_parameters()])
    for n in traced.graph.nodes:
        show("node", lambda: (n.op, n.name, n.all_input_nodes, list(n.users), n.format_node()))


def traced_functions(torch, show):
    """Operators, methods, defaults, annotations, starred arguments, constants."""

    def chain(x: torch.Tensor, y: int = 3):
        return operator.neg(torch.relu(x) + y).float().to(torch.float64) ** 2 // 3 % 5 < 1

    def rest(*args, **named):
        return args[0] + named["q"]

    def chosen(x, flag=True):
        return x + 1 if flag else x - 1

    show("chain", lambda: torch.fx.symbolic_trace(chain).code)
    show("rest", lambda: torch.fx.symbolic_trace(rest).code)
    show("constant", lambda: torch.fx.symbolic_trace(chosen, concrete_args={"flag": False}).code)
    for label, program in {
        "branch": lambda x: 1 if x.sum() > 0 else 2,
        "loop": lambda x: [i for i in x],  # noqa: C416
        "len": lambda x: len(x),
        "int": lambda x: torch.zeros(3)[int(x)],
        "unpacked": lambda x: (lambda a, b: a)(*x),
    }.items():
        show(label, lambda: torch.fx.symbolic_trace(program).code)


def built_graphs(torch, show):
    """Graphs made, changed and refused by hand."""
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    added = graph.call_function(torch.add, (x, [x, {"a": x}]))
    seen = graph.call_method("view", (added, -1))
    graph.output((seen, slice(x, None)))
    show("text", lambda: (str(graph), graph.python_code("self").src))
    show("used", lambda: graph.erase_node(added))
    show("immutable", lambda: added.args[1].append(3))
    show("immutable", lambda: added.args[1][1].update(b=1))
    show("no such attribute", lambda: torch.fx.GraphModule(torch.nn.Module(), _reading(torch)))
    show("not in the dict", lambda: torch.fx.GraphModule({}, _reading(torch)))
    graph = torch.fx.Graph()
    x = graph.placeholder("x", default_value=2.0)
    added = graph.call_function(torch.add, (x, 1))
    graph.output(graph.call_method("view", (added, -1)))
    module = torch.fx.GraphModule(torch.nn.Module(), graph)
    show("run", lambda: module(torch.ones(2, 2)))
    with graph.inserting_after(added):
        instead = graph.call_function(torch.mul, added.args, {})
    show("changed", lambda: added.replace_all_uses_with(instead))
    show("erased", lambda: graph.erase_node(added))
    show("dead", lambda: graph.eliminate_dead_code())
    module.recompile()
    show("recompiled", lambda: (module.code, module(torch.ones(2, 2))))
    show("copied", lambda: copy.deepcopy(module).code)
    show("pickled", lambda: pickle.loads(pickle.dumps(module)).code if torch.__name__ == "torch" else module.code)
    show("found", lambda: graph.find_nodes(op="call_function", target=torch.mul))


def _reading(torch):
    graph = torch.fx.Graph()
    graph.output(graph.get_attr("w.x"))
    return graph


def run_graphs(torch, show):
    """Interpreter, Transformer, ShapeProp, replace_pattern."""
    from importlib import import_module

    fx = torch.fx
    traced = fx.symbolic_trace(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU()))
    import_module(f"{torch.__name__}.fx.passes.shape_prop").ShapeProp(traced).propagate(torch.ones(4, 2))
    for n in traced.graph.nodes:
        show("shape", lambda: (n.name, n.meta["tensor_meta"].shape, n.meta["tensor_meta"].dtype))

    class Swapped(fx.Transformer):
        def call_function(self, target, args, kwargs):
            return super().call_function(torch.sub if target is torch.mul else target, args, kwargs)

    def product(x):
        return torch.mul(x, 2).neg()

    show("transformed", lambda: Swapped(fx.symbolic_trace(product)).transform().code)
    show("interpreted", lambda: fx.Interpreter(fx.symbolic_trace(product)).run(torch.ones(2)))
    show("missing", lambda: fx.Interpreter(fx.symbolic_trace(product)).run())
    rewritten = fx.symbolic_trace(lambda x: torch.relu(x.neg()).neg() + torch.relu(x.neg()))
    show(
        "places", lambda: len(fx.replace_pattern(rewritten, lambda x: torch.relu(x.neg()), lambda x: torch.sigmoid(x)))
    )
    show("rewritten", lambda: (rewritten.code, rewritten(torch.ones(2))))
