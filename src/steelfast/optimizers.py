"""Optimisers: what remembers the past of a parameter and changes it in place, in one fused pass.

One optimiser serves any number of parameters; it remembers each by the array itself.

>>> import numpy as np
>>> w = np.zeros(1)
>>> descent = SGD(learning_rate=0.01)
>>> descent.update(w, 2 * w - 10)  # of J(w) = w² − 10w + 25
>>> w
array([0.1])
"""

import weakref
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelfast import _kernels
from steelfast._arguments import as_number, as_shaped, described

__all__ = ["SGD", "Adam", "Momentum", "Optimizer", "RMSProp"]

Array = NDArray[Any]


class Optimizer(Protocol):
    """What the trainer needs of an optimiser."""

    learning_rate: float

    def update(self, parameter: Array, gradient: ArrayLike) -> None:
        """Change the parameter in place by one step down the gradient."""


class _Base:
    """Checks, and the memory of each parameter: `_memory` arrays like it and the number of steps taken."""

    _memory = 0

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = as_number(learning_rate, "learning_rate", 0.0, np.inf, below=True)
        self._states: dict[int, tuple[weakref.ref[Array], list[Array], list[int]]] = {}

    def update(self, parameter: Array, gradient: ArrayLike) -> None:
        """Change the parameter in place by one step down the gradient.

        Parameters
        ----------
        parameter : ndarray of float32 or float64, any shape, writeable
            What is changed. The optimiser remembers it by identity: pass the same array at every step.
        gradient : array-like of the parameter's shape
            The gradient of what is minimised; converted to the parameter's dtype.

        Raises
        ------
        TypeError
            If the parameter is not an array of float32 or float64.
        ValueError
            If the parameter is read-only or the gradient has another shape. Nothing is changed then.
        """
        if not isinstance(parameter, np.ndarray) or parameter.dtype not in (np.float32, np.float64):
            raise TypeError(f"parameter must be an array of float32 or float64, got {described(parameter)}")
        if not parameter.flags.writeable:
            raise ValueError("parameter must be writeable, got a read-only array")
        if not (isinstance(gradient, np.ndarray) and gradient.flags.carray and _alike(gradient, parameter)):
            gradient = as_shaped(gradient, "gradient", parameter.shape, parameter.dtype)
        if gradient is not parameter and np.may_share_memory(gradient, parameter):
            gradient = gradient.copy()
        memory, steps = self._state_of(parameter)
        steps[0] += 1
        # a copy where the kernel cannot write in place
        contiguous = parameter if parameter.flags.carray else np.require(parameter, None, ["C", "A"])
        self._step(contiguous, gradient, memory, steps[0])
        if contiguous is not parameter:
            parameter[...] = contiguous

    def _state_of(self, parameter: Array) -> tuple[list[Array], list[int]]:
        key = id(parameter)
        state = self._states.get(key)
        if state is None or state[0]() is not parameter:
            forget = self._states.pop
            reference = weakref.ref(parameter, lambda _: forget(key, None))
            memory = [np.zeros(parameter.shape, parameter.dtype) for _ in range(self._memory)]
            state = self._states[key] = (reference, memory, [0])
        return state[1], state[2]

    def _step(self, parameter: Array, gradient: Array, memory: list[Array], step: int) -> None:
        raise NotImplementedError

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({settings})"


def _alike(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape


class SGD(_Base):
    """Gradient descent: w ← w − learning_rate · g.

    Parameters
    ----------
    learning_rate : float, not negative
    """

    def __init__(self, learning_rate: float = 0.01) -> None:
        super().__init__(learning_rate)

    def _step(self, parameter: Array, gradient: Array, memory: list[Array], step: int) -> None:
        _kernels.sgd(parameter, gradient, self.learning_rate)


class Momentum(_Base):
    """Gradient descent with momentum: v ← momentum · v + g; w ← w − learning_rate · v.

    Parameters
    ----------
    learning_rate : float, not negative
    momentum : float in [0, 1]

    References
    ----------
    Polyak (1964), Some methods of speeding up the convergence of iteration methods; in the form of PyTorch's SGD.
    """

    _memory = 1

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(learning_rate)
        self.momentum = as_number(momentum, "momentum", 0.0, 1.0)

    def _step(self, parameter: Array, gradient: Array, memory: list[Array], step: int) -> None:
        _kernels.momentum(parameter, gradient, memory[0], self.learning_rate, self.momentum)


class RMSProp(_Base):
    """Steps scaled by the recent size of the gradient: s ← decay · s + (1 − decay) · g²; w ← w − rate · g / (√s + eps).

    Parameters
    ----------
    learning_rate : float, not negative
    decay : float in [0, 1]
    eps : float, not negative

    References
    ----------
    Tieleman and Hinton (2012), Neural networks for machine learning, lecture 6.5.
    """

    _memory = 1

    def __init__(self, learning_rate: float = 0.001, decay: float = 0.99, eps: float = 1e-8) -> None:
        super().__init__(learning_rate)
        self.decay = as_number(decay, "decay", 0.0, 1.0)
        self.eps = as_number(eps, "eps", 0.0, 1.0)

    def _step(self, parameter: Array, gradient: Array, memory: list[Array], step: int) -> None:
        _kernels.rmsprop(parameter, gradient, memory[0], self.learning_rate, self.decay, self.eps)


class Adam(_Base):
    """Adam: momentum and RMSProp together, both corrected for their start at zero.

    Parameters
    ----------
    learning_rate : float, not negative
    beta1, beta2 : float in [0, 1)
        Decay of the gradient's and of its square's running mean.
    eps : float, not negative

    References
    ----------
    Kingma and Ba (2015), Adam: a method for stochastic optimization, arXiv:1412.6980.
    """

    _memory = 2

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate)
        self.beta1 = as_number(beta1, "beta1", 0.0, 1.0, below=True)
        self.beta2 = as_number(beta2, "beta2", 0.0, 1.0, below=True)
        self.eps = as_number(eps, "eps", 0.0, 1.0)

    def _step(self, parameter: Array, gradient: Array, memory: list[Array], step: int) -> None:
        _kernels.adam(
            parameter,
            gradient,
            memory[0],
            memory[1],
            self.learning_rate,
            self.beta1,
            self.beta2,
            step,
            self.eps,
        )
