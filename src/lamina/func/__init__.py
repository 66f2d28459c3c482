"""torch.func: functions of functions. Gradients, Jacobians and batches as transforms that compose in any order.

Here: names. Not here: how an operation is carried out under a transform (primitives/levels.py and what it names).
"""

from lamina.func.forward import jvp, linearize
from lamina.func.functional_call import functional_call, stack_module_state
from lamina.func.gradients import grad, grad_and_value, vjp
from lamina.func.jacobians import hessian, jacfwd, jacrev
from lamina.func.mutations import debug_unwrap, functionalize, replace_all_batch_norm_modules_
from lamina.func.rearrange import rearrange
from lamina.func.vmap import vmap

__all__ = [
    "debug_unwrap",
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "rearrange",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]
