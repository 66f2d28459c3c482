"""Parts of torch that packages name without using: a class for `isinstance`, an annotation, an import at the top of a file.

Here: their paths, their names, and what stands there. A class has no instances; to call one, or a function, raises
NotImplementedError that says why. What asks for a state of these parts gets the answer of a program that does not use them.
Not here: what lamina has (paths.py); parts that a program cannot mean to use by importing them (ABSENT, there).
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

_ONE_PROCESS = "lamina runs in one process; use the module itself where torch.distributed.is_available() is False"
_NOT_TRACED = "operations are not traced below the public ones; use torch.fx.symbolic_trace"
_NOT_EXPORTED = "graphs are not exported; run the module itself"
_NOT_NESTED = "nested tensors are not supported; pad them (nn.utils.rnn.pad_sequence) or keep a list"
_NOT_DISPATCHED = "there is no __torch_dispatch__; use __torch_function__ or TorchFunctionMode"

_NOT_QUANTISED = "quantisation is not supported; run the model in float32 or bfloat16"
_NOT_FAKE = "there are no fake tensors; use device='meta'"
_NOT_ONNX = "lamina does not write ONNX files; save the state_dict and export from PyTorch"

_QUANTISATION = (
    "DeQuantStub FakeQuantize HistogramObserver MinMaxObserver MovingAverageMinMaxObserver QConfig QConfigMapping QuantStub "
    "QuantWrapper convert default_dynamic_qconfig default_observer default_qconfig float_qparams_weight_only_qconfig fuse_modules "
    "fuse_modules_qat get_default_qat_qconfig get_default_qconfig get_default_qconfig_mapping prepare prepare_qat quantize "
    "quantize_dynamic quantize_qat"
)
_FSDP = (
    "BackwardPrefetch CPUOffload CPUOffloadPolicy FSDPModule FullOptimStateDictConfig FullStateDictConfig FullyShardedDataParallel "
    "LocalOptimStateDictConfig LocalStateDictConfig MixedPrecision MixedPrecisionPolicy OffloadPolicy OptimStateDictConfig "
    "OptimStateKeyType ShardedOptimStateDictConfig ShardedStateDictConfig ShardingStrategy StateDictConfig StateDictSettings "
    "StateDictType UnshardHandle fully_shard register_fsdp_forward_method"
)
_TENSOR = (
    "DTensor DeviceMesh Partial Placement Replicate Shard distribute_module distribute_tensor empty full init_device_mesh ones "
    "rand randn zeros"
)

NAMED: dict[str, tuple[str, str]] = {
    "functorch.compile": (
        _NOT_TRACED,
        "aot_function aot_module compiled_function compiled_module default_partition make_boxed_func memory_efficient_fusion "
        "min_cut_rematerialization_partition nop ts_compile",
    ),
    "functorch.experimental.control_flow": (_NOT_TRACED, "cond map"),
    "torch._functorch.aot_autograd": (_NOT_TRACED, "aot_export_module aot_function aot_module aot_module_simplified"),
    "torch._functorch.autograd_function": (_NOT_DISPATCHED, "CustomFunctionHigherOrderOperator custom_function_call"),
    "torch._functorch.config": (_NOT_TRACED, ""),
    "torch._functorch.partitioners": (_NOT_TRACED, "default_partition min_cut_rematerialization_partition"),
    "torch._functorch.pyfunctorch": (_NOT_DISPATCHED, "FuncTorchInterpreter retrieve_current_functorch_interpreter"),
    "torch._functorch.python_key": (_NOT_TRACED, "make_fx"),
    "torch._export.wrappers": (_NOT_EXPORTED, ""),
    "torch._higher_order_ops.associative_scan": (_NOT_TRACED, "associative_scan"),
    "torch._higher_order_ops.map": (_NOT_TRACED, "map map_impl"),
    "torch._ops": (_NOT_DISPATCHED, "HigherOrderOperator OpOverload OpOverloadPacket OperatorBase"),
    "torch._subclasses": (_NOT_FAKE, "CrossRefFakeMode FakeTensor FakeTensorMode"),
    "torch._subclasses.fake_tensor": (_NOT_FAKE, "DynamicOutputShapeException FakeTensor FakeTensorMode"),
    "torch._subclasses.functional_tensor": (_NOT_DISPATCHED, "FunctionalTensor"),
    "torch.ao.nn.qat": (_NOT_QUANTISED, ""),
    "torch.ao.nn.qat.modules": (_NOT_QUANTISED, ""),
    "torch.ao.nn.quantizable": (_NOT_QUANTISED, "LSTM MultiheadAttention"),
    "torch.ao.nn.quantizable.modules": (_NOT_QUANTISED, ""),
    "torch.ao.nn.quantized": (
        _NOT_QUANTISED,
        "Conv2d DeQuantize Embedding FloatFunctional Linear MaxPool2d QFunctional Quantize",
    ),
    "torch.ao.nn.quantized.modules": (_NOT_QUANTISED, ""),
    "torch.ao.nn.quantized.dynamic": (_NOT_QUANTISED, "GRU LSTM Linear"),
    "torch.ao.quantization": (_NOT_QUANTISED, _QUANTISATION),
    "torch.ao.quantization.quantize_fx": (_NOT_QUANTISED, "convert_fx fuse_fx prepare_fx prepare_qat_fx"),
    "torch.distributed._composable.fsdp": (_ONE_PROCESS, _FSDP),
    "torch.distributed._functional_collectives": (
        _ONE_PROCESS,
        "AsyncCollectiveTensor all_to_all_single_autograd wait_tensor",
    ),
    "torch.distributed._tensor": (_ONE_PROCESS, _TENSOR),
    "torch.distributed.algorithms._checkpoint.checkpoint_wrapper": (
        "wrap the call in torch.utils.checkpoint.checkpoint",
        "CheckpointImpl CheckpointWrapper apply_activation_checkpointing checkpoint_wrapper offload_wrapper",
    ),
    "torch.distributed.algorithms.join": (_ONE_PROCESS, "Join JoinHook Joinable"),
    "torch.distributed.algorithms.model_averaging.averagers": (_ONE_PROCESS, "ModelAverager PeriodicModelAverager"),
    "torch.distributed.checkpoint": (
        "lamina runs in one process; use torch.save and torch.load",
        "FileSystemReader FileSystemWriter async_save load load_state_dict save save_state_dict",
    ),
    "torch.distributed.checkpoint.state_dict": (
        "lamina runs in one process; use the module's and the optimizer's state_dict()",
        "StateDictOptions get_model_state_dict get_optimizer_state_dict get_state_dict set_model_state_dict "
        "set_optimizer_state_dict set_state_dict",
    ),
    "torch.distributed.checkpoint.stateful": (_ONE_PROCESS, "Stateful"),
    "torch.distributed.device_mesh": (_ONE_PROCESS, "DeviceMesh init_device_mesh"),
    "torch.distributed.distributed_c10d": (_ONE_PROCESS, "ProcessGroup ReduceOp Work"),
    "torch.distributed.elastic.multiprocessing.errors": (_ONE_PROCESS, "ChildFailedError"),
    "torch.distributed.fsdp": (_ONE_PROCESS, _FSDP),
    "torch.distributed.fsdp.api": (_ONE_PROCESS, _FSDP),
    "torch.distributed.fsdp.fully_sharded_data_parallel": (_ONE_PROCESS, _FSDP),
    "torch.distributed.fsdp.sharded_grad_scaler": (_ONE_PROCESS, "ShardedGradScaler"),
    "torch.distributed.fsdp.wrap": (
        _ONE_PROCESS,
        "ModuleWrapPolicy enable_wrap size_based_auto_wrap_policy transformer_auto_wrap_policy wrap",
    ),
    "torch.distributed.nn": (_ONE_PROCESS, "all_gather all_reduce"),
    "torch.distributed.nn.functional": (_ONE_PROCESS, "all_gather all_reduce"),
    "torch.distributed.rpc": (_ONE_PROCESS, "RRef TensorPipeRpcBackendOptions init_rpc rpc_async rpc_sync shutdown"),
    "torch.distributed.tensor": (_ONE_PROCESS, _TENSOR),
    "torch.distributed.tensor.parallel": (
        _ONE_PROCESS,
        "ColwiseParallel ParallelStyle PrepareModuleInput RowwiseParallel SequenceParallel loss_parallel parallelize_module",
    ),
    "torch.distributed.tensor.placement_types": (_ONE_PROCESS, "Partial Placement Replicate Shard _StridedShard"),
    "torch.export": (_NOT_EXPORTED, "Dim ExportedProgram ExportGraphSignature export load register_dataclass save"),
    "torch.fx.experimental.proxy_tensor": (_NOT_TRACED, "make_fx"),
    "torch.fx.experimental.symbolic_shapes": (_NOT_TRACED, "GuardOnDataDependentSymNode ShapeEnv"),
    "torch.autograd._functions": ("use the Tensor methods resize_ and type", "Resize Type"),
    "torch.multiprocessing.reductions": ("tensors travel between processes as copies", "StorageWeakRef reduce_tensor"),
    "torch.nn.parallel.scatter_gather": (
        "there is one device; call the module itself",
        "gather scatter scatter_kwargs",
    ),
    "torch.onnx.operators": (_NOT_ONNX, "reshape_from_tensor_shape shape_as_tensor"),
    "torch.onnx.symbolic_helper": (_NOT_ONNX, "cast_pytorch_to_onnx"),
    "torch.onnx.symbolic_opset11": (_NOT_ONNX, "select squeeze unsqueeze"),
    "torch.onnx.symbolic_opset12": (_NOT_ONNX, "dropout"),
    "torch.onnx.symbolic_opset9": (_NOT_ONNX, "masked_fill softmax"),
    "torch.quantization": (_NOT_QUANTISED, _QUANTISATION),
    "torch.nested": (_NOT_NESTED, "as_nested_tensor nested_tensor nested_tensor_from_jagged narrow to_padded_tensor"),
    "torch.nested._internal.nested_tensor": (_NOT_NESTED, "NestedTensor"),
    "torch.utils._python_dispatch": (_NOT_DISPATCHED, "TorchDispatchMode transform_subclass"),
    "torch.utils._device": ("write `with torch.device(...)` or torch.set_default_device", "DeviceContext"),
    "torch.utils.flop_counter": (
        "operations are not counted; step.explain() of a compiled step says them",
        "FlopCounterMode",
    ),
}
"""Path of torch -> why its names do nothing here, and these names."""


def _first(x: Any, *rest: Any, **options: Any) -> Any:
    return x


def _keeping(*args: Any, **options: Any) -> Callable[[Any], Any]:
    return _first


def _none(*args: Any, **options: Any) -> None:
    return None


def _false(*args: Any, **options: Any) -> bool:
    return False


ANSWERS: dict[str, Callable[..., Any]] = {
    "torch._dynamo.utils.is_compile_supported": _false,
    "torch._export.wrappers.mark_subclass_constructor_exportable_experimental": _first,
    "torch._subclasses.fake_tensor.is_fake": _false,
    "torch.distributed.tensor._is_dtensor": _false,
    "torch.fx.experimental.proxy_tensor.get_proxy_mode": _none,
    "torch.fx.experimental.symbolic_shapes.guard_or_false": bool,
    "torch.fx.experimental.symbolic_shapes.guard_or_true": bool,
    "torch.fx.experimental.symbolic_shapes.guard_size_oblivious": bool,
    "torch.fx.experimental.symbolic_shapes.is_symbolic": _false,
    "torch.fx.experimental.symbolic_shapes.statically_known_true": bool,
    "torch.onnx.symbolic_helper.parse_args": _keeping,
    "torch.utils._python_dispatch.is_traceable_wrapper_subclass": _false,
    "torch.utils._python_dispatch.is_traceable_wrapper_subclass_type": _false,
}
"""Functions on ordinary values that tell, or keep, what an ordinary program has: no trace, numbers for sizes, plain tensors."""

_PARENTS = frozenset(
    path[:end]
    for path in (*NAMED, *(answer.rpartition(".")[0] for answer in ANSWERS))
    for end, letter in enumerate(f"{path}.")
    if letter == "." and path[:end] != "torch"
)


def below(parent: str) -> list[str]:
    """The paths of the table, or packages around one, directly below a torch path."""
    return [path for path in _PARENTS if path.rpartition(".")[0] == parent]


def is_named(path: str) -> bool:
    """Whether a path of torch is in the table, or is a package around one that is."""
    return path in _PARENTS


class _Named(type):
    """The type of what stands for a class or function that lamina has not."""

    why: str

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"{cls.__module__}.{cls.__qualname__}: {cls.why}")


def module(path: str) -> ModuleType:
    """A new module with the names of the table."""
    why, names = NAMED.get(path, ("", ""))
    made = ModuleType(path, f"{path}: {why}" if why else None)
    for name in names.split():
        setattr(made, name, _Named(name, (), {"__module__": path, "__doc__": why, "why": why}))
    for full, answer in ANSWERS.items():
        if full.rpartition(".")[0] == path:
            setattr(made, full.rpartition(".")[2], answer)
    made.__path__ = []
    made.__all__ = names.split()  # type: ignore[attr-defined]
    return made
