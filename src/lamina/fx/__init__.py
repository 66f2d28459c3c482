"""torch.fx: programs traced symbolically into graphs that can be read, changed, and turned back into modules.

Here: names. Not here: the graph that lamina's own compiler records (compiler/graph.py): that one is of real runs, on arrays.
"""

from lamina.fx.graph import CodeGen, Graph
from lamina.fx.graph_module import GraphModule
from lamina.fx.interpreter import Interpreter, Transformer
from lamina.fx.node import Node, has_side_effect, map_arg
from lamina.fx.proxy import Proxy
from lamina.fx.subgraph_rewriter import replace_pattern
from lamina.fx.tracer import PH, Tracer, symbolic_trace, wrap

__all__ = [
    "PH", "CodeGen", "Graph", "GraphModule", "Interpreter", "Node", "Proxy", "Tracer", "Transformer", "has_side_effect", "map_arg",
    "replace_pattern", "symbolic_trace", "wrap",
]  # fmt: skip
