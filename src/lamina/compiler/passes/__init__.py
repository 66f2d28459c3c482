"""The passes: each reads one form and writes one. simplify: the graph, smaller."""
