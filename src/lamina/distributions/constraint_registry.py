"""`biject_to` and `transform_to`: the maps from all real numbers onto a constrained set.

Here: the registry and the maps of the known constraints. Not here: the maps' formulas (transforms.py).
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

from lamina.distributions import constraints, transforms
from lamina.distributions.constraints import Constraint
from lamina.distributions.transforms import Transform

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """For each type of constraint, a function that makes the map onto it. Called with a constraint, it returns that map."""

    def __init__(self) -> None:
        self._registry: dict[type[Constraint], Callable[[Any], Transform]] = {}

    def register(self, constraint: Any, factory: Callable[[Any], Transform] | None = None) -> Any:
        """Set the function for a type of constraint (or an instance's type); a decorator without `factory`.

        Raises TypeError for what is no constraint.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        kind = type(constraint) if isinstance(constraint, Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, Constraint):
            raise TypeError(f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}")
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint: Constraint) -> Transform:
        try:
            factory = self._registry[type(constraint)]
        except KeyError:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints") from None
        return factory(constraint)


biject_to = ConstraintRegistry()
"""One-to-one maps with a Jacobian, for changes of variables."""
transform_to = ConstraintRegistry()
"""Maps that need not be one-to-one, for optimisation."""


def _both(*kinds: Any) -> Callable[[Any], Any]:
    """Register a factory of (registry, constraint) with both registries."""

    def decorator(factory: Callable[[ConstraintRegistry, Any], Transform]) -> Any:
        for registry in (biject_to, transform_to):
            for kind in kinds:
                registry.register(kind, lambda constraint, registry=registry: factory(registry, constraint))
        return factory

    return decorator


@_both(constraints.real)
def _real(registry: ConstraintRegistry, constraint: Any) -> Transform:
    return transforms.identity_transform


@_both(constraints.independent)
def _independent(registry: ConstraintRegistry, constraint: Any) -> Transform:
    base = registry(constraint.base_constraint)
    return transforms.IndependentTransform(base, constraint.reinterpreted_batch_ndims)


@_both(constraints.greater_than, constraints.greater_than_eq)
def _greater(registry: ConstraintRegistry, constraint: Any) -> Transform:
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(constraint.lower_bound, 1)]
    )


@_both(constraints.less_than)
def _less(registry: ConstraintRegistry, constraint: Any) -> Transform:
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(constraint.upper_bound, -1)]
    )


@_both(constraints.interval, constraints.half_open_interval)
def _interval(registry: ConstraintRegistry, constraint: Any) -> Transform:
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, Number) and low == 0 and isinstance(high, Number) and high == 1:
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform([transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)])


@_both(constraints.corr_cholesky)
def _corr_cholesky(registry: ConstraintRegistry, constraint: Any) -> Transform:
    return transforms.CorrCholeskyTransform()


@_both(constraints.cat)
def _cat(registry: ConstraintRegistry, constraint: Any) -> Transform:
    return transforms.CatTransform([registry(c) for c in constraint.cseq], constraint.dim, constraint.lengths)


@_both(constraints.stack)
def _stack(registry: ConstraintRegistry, constraint: Any) -> Transform:
    return transforms.StackTransform([registry(c) for c in constraint.cseq], constraint.dim)


biject_to.register(constraints.simplex, lambda constraint: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda constraint: transforms.SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda constraint: transforms.LowerCholeskyTransform())
for _kind in (constraints.positive_definite, constraints.positive_semidefinite):
    transform_to.register(_kind, lambda constraint: transforms.PositiveDefiniteTransform())
