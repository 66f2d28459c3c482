"""`GradScaler`: multiplies a loss so that float16 gradients do not vanish, and skips steps whose gradients overflow."""

import enum
from collections.abc import Iterable
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.core.warn import warn

__all__ = ["GradScaler", "OptState"]


class OptState(enum.Enum):
    """How far an optimizer has come since the last `update`."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


class GradScaler:
    """Scale the loss, unscale the gradients before the optimizer sees them, and adapt the scale.

    Parameters
    ----------
    device
        "cpu"; for another device the scaler warns and does nothing, as in PyTorch without that device.
    init_scale, growth_factor, backoff_factor, growth_interval
        The scale starts at `init_scale`, is multiplied by `backoff_factor` after a step with an infinite or NaN
        gradient, and by `growth_factor` after `growth_interval` steps in a row without one.
    enabled
        False: `scale` returns the loss as it is and `step` calls the optimizer.
    """

    __module__ = "torch.amp.grad_scaler"

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if enabled and device != "cpu":
            warn(
                f"torch.{device}.amp.GradScaler is enabled, but {device.upper()} is not available.  Disabling.",
            )
            self._enabled = False
        if self._enabled:
            if growth_factor <= 1.0:
                raise AssertionError("The growth factor must be > 1.0.")
            if backoff_factor >= 1.0:
                raise AssertionError("The backoff factor must be < 1.0.")
        self._init_scale = init_scale
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._init_growth_tracker = growth_interval, 0
        self._scale: Tensor | None = None
        self._growth_tracker: Tensor | None = None
        # By id of the optimizer: how far it is, and whether a gradient of it was infinite or NaN.
        self._stages: dict[int, OptState] = {}
        self._overflow: dict[int, bool] = {}

    def scale(self, outputs: Any) -> Any:
        """A tensor, or an iterable of tensors, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._current().to(outputs.dtype)
        if isinstance(outputs, Iterable):
            scaled = [self.scale(output) for output in outputs]
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of the optimizer's parameters by the scale, in place; at most once before each step."""
        if not self._enabled:
            return
        stage = self._stages.get(id(optimizer), OptState.READY)
        if stage is OptState.UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if stage is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        inverse = 1.0 / self.get_scale()
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        overflow = False
        with lamina.no_grad():
            for parameter in parameters:
                if parameter.grad.dtype == lamina.float16:
                    raise ValueError("Attempting to unscale FP16 gradients.")
                parameter.grad.mul_(inverse)
                overflow = overflow or not bool(lamina.isfinite(parameter.grad).all())
        if parameters:
            self._overflow[id(optimizer)] = overflow
        self._stages[id(optimizer)] = OptState.UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> float | None:
        """What the optimizer returns, or None if a gradient was infinite or NaN; unscales first if need be."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        if self._stages.get(id(optimizer)) is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if self._stages.get(id(optimizer), OptState.READY) is OptState.READY:
            self.unscale_(optimizer)
        if id(optimizer) not in self._overflow:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        self._stages[id(optimizer)] = OptState.STEPPED
        return None if self._overflow[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale to what the last steps met, or set it to `new_scale`."""
        if not self._enabled:
            return
        scale, tracker = self._current(), self._growth_tracker
        assert tracker is not None  # made with the scale
        with lamina.no_grad():
            if new_scale is not None:
                scale.fill_(float(new_scale))
            else:
                if not self._overflow:
                    raise AssertionError("No inf checks were recorded prior to update.")
                self._adapt(scale, tracker, any(self._overflow.values()))
        self._stages.clear()
        self._overflow.clear()

    def _adapt(self, scale: Tensor, tracker: Tensor, overflow: bool) -> None:
        if overflow:
            scale.mul_(self._backoff_factor)
            tracker.zero_()
        elif int(tracker.item()) + 1 == self._growth_interval:
            scale.mul_(self._growth_factor)
            tracker.zero_()
        else:
            tracker.add_(1)

    def _current(self) -> Tensor:
        """The scale, a 0-d float32 tensor made when it is first needed."""
        if self._scale is None:
            self._scale = lamina.full((), self._init_scale, dtype=lamina.float32)
            self._growth_tracker = lamina.full((), self._init_growth_tracker, dtype=lamina.int32)
        return self._scale

    def get_scale(self) -> float:
        """The scale; 1.0 if disabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale.item())

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by when it grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after an overflow."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by after an overflow."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """How many steps without an overflow make the scale grow."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set how many steps without an overflow make the scale grow."""
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and counter; empty if disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`; does nothing if disabled."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale is not None and self._growth_tracker is not None:
            self._scale.fill_(self._init_scale)
            self._growth_tracker.fill_(self._init_growth_tracker)

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        return self._init_growth_tracker if self._growth_tracker is None else int(self._growth_tracker.item())
