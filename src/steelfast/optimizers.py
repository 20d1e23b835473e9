"""Optimisers: what remembers the past of a parameter and changes it in place, in one fused pass.

One optimiser serves any number of parameters; it remembers each by the array itself.

>>> import numpy as np
>>> w = np.zeros(1)
>>> descent = SGD(learning_rate=0.01)
>>> descent.update(w, 2 * w - 10)  # of J(w) = w² − 10w + 25
>>> w
array([0.1])

The learning rate may follow a schedule, see `steelfast.schedules`. Whoever takes many steps at once, as a kernel does
that runs through an epoch, asks for a `Plan` of them: its steps are those of `update`, to the last bit.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelfast import _kernels
from steelfast._arguments import as_count, as_flag, as_number, as_shaped, as_weights, described

__all__ = ["SGD", "Adam", "LearningRate", "Momentum", "Optimizer", "Plan", "RMSProp"]

Array = NDArray[Any]
#: A number, or what makes an array of rates of an array of the numbers of steps, from 0
LearningRate: TypeAlias = float | Callable[[NDArray[np.int64]], ArrayLike]


class Plan(NamedTuple):
    """Steps of an optimiser on one parameter, in numbers: for a kernel that takes them with `take_step`, or `take`.

    The fields are those of ``Rule`` in ``_steps.pxd``, and the arguments of `take_step`.
    """

    kind: int  # see `_kernels.KINDS`
    rates: NDArray[np.float64]  # of each step
    decay: float
    second_decay: float
    eps: float
    weight_decay: float
    decoupled: bool
    first: Array | None  # like the parameter but C-contiguous; what is remembered, to be changed in place
    second: Array | None
    number: int  # of the first of these steps, from 1

    def take(self, k: int, parameter: Array, gradient: Array) -> None:
        """Step k of these, from 0, each once and in order: `update` without its checks, in a third of the time.

        The arrays are C-contiguous, like each other and the parameter that the plan was made for.
        """
        _kernels.update(
            parameter,
            gradient,
            self.first,
            self.second,
            self.rates[k],
            self.number + k,
            kind=self.kind,
            decay=self.decay,
            second_decay=self.second_decay,
            eps=self.eps,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
        )


class Optimizer(Protocol):
    """What an optimiser has: `update` for loops of one's own; the trainer takes the steps of `begin`."""

    @property
    def learning_rate(self) -> LearningRate:
        """The learning rate, or its schedule."""

    def update(self, parameter: Array, gradient: ArrayLike) -> None:
        """Change the parameter in place by one step down the gradient."""

    def begin(self, parameter: Array, n_steps: int) -> Plan:
        """The parameter's next steps, to be taken by the caller."""

    def resume(self, parameter: Array, plan: Plan) -> None:
        """Go on from a plan that was made for another array."""


def _as_not_negative(x: object, name: str) -> float:
    return as_number(x, name, 0.0, np.inf, below=True)


def _as_part(x: object, name: str) -> float:
    return as_number(x, name, 0.0, 1.0)


def _as_true_part(x: object, name: str) -> float:
    return as_number(x, name, 0.0, 1.0, below=True)


def _as_rate(x: Any, name: str) -> LearningRate:
    return x if callable(x) else _as_not_negative(x, name)


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "learning_rate": _as_rate,
    "weight_decay": _as_not_negative,
    "momentum": _as_part,
    "decay": _as_part,
    "beta1": _as_true_part,
    "beta2": _as_true_part,
    "eps": _as_not_negative,
    "nesterov": as_flag,
    "decoupled_weight_decay": as_flag,
}


@dataclass
class _State:
    """What is remembered of a parameter."""

    parameter: weakref.ref[Array]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    first: Array | None
    second: Array | None
    n_steps: int = 0  # taken


class _Base:
    """Checks, and the memory of each parameter."""

    learning_rate: LearningRate
    weight_decay: float
    _has_first = _has_second = False  # what is remembered of gradients

    def __init__(self, learning_rate: LearningRate, weight_decay: float) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self._states: dict[int, _State] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        """Settings are checked whenever they are set."""
        check = _CHECKS.get(name)
        object.__setattr__(self, name, value if check is None else check(value, name))

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
            If the parameter is read-only or no longer of the shape and dtype of its first step, if the gradient has
            another shape, or if a schedule gives a rate that is negative or not finite. Nothing is changed then.
        """
        _check_parameter(parameter)
        if not (isinstance(gradient, np.ndarray) and gradient.flags.carray and _alike(gradient, parameter)):
            gradient = as_shaped(gradient, "gradient", parameter.shape, parameter.dtype)
        if gradient is not parameter and np.may_share_memory(gradient, parameter):
            gradient = gradient.copy()
        state = self._state_of(parameter)
        rate = self.learning_rate if isinstance(self.learning_rate, float) else self._rates(state.n_steps, 1)[0]
        # a copy where the kernel cannot write in place
        contiguous = parameter if parameter.flags.carray else np.require(parameter, None, ["C", "A"])
        _kernels.update(contiguous, gradient, state.first, state.second, rate, state.n_steps + 1, **self._rule())
        state.n_steps += 1
        if contiguous is not parameter:
            parameter[...] = contiguous

    def begin(self, parameter: Array, n_steps: int) -> Plan:
        """The parameter's next steps, to be taken by the caller: they count as taken.

        Parameters
        ----------
        parameter : ndarray of float32 or float64, any shape, writeable
            As for `update`, which may take steps before and after these.
        n_steps : int, at least 0

        Returns
        -------
        Plan
            Steps of the same bits as those of as many calls of `update`.

        Raises
        ------
        TypeError, ValueError
            As `update`, and if n_steps is not such a number. Nothing is counted then.

        Examples
        --------
        >>> import numpy as np
        >>> from steelfast.optimizers import Momentum
        >>> from steelfast.schedules import Step
        >>> w, optimizer = np.zeros(2), Momentum(Step(1.0, step_size=2))
        >>> optimizer.update(w, np.ones(2))
        >>> plan = optimizer.begin(w, 4)
        >>> plan.number, plan.decay, plan.first
        (2, 0.9, array([1., 1.]))
        >>> plan.rates.round(3)
        array([1.  , 0.1 , 0.1 , 0.01])
        """
        _check_parameter(parameter)
        n_steps = as_count(n_steps, "n_steps", 0)
        state = self._state_of(parameter)
        rates = self._rates(state.n_steps, n_steps)
        number = state.n_steps + 1
        state.n_steps += n_steps
        return Plan(rates=rates, first=state.first, second=state.second, number=number, **self._rule())

    def resume(self, parameter: Array, plan: Plan) -> None:
        """Go on from a plan that `begin` gave for another array: as if its steps had been taken on this one.

        What the plan remembers is copied.

        Parameters
        ----------
        parameter : ndarray of float32 or float64, writeable
        plan : Plan
            Of an optimiser of this kind, for a parameter of this shape and dtype.

        Raises
        ------
        TypeError, ValueError
            As `update`, and if what is remembered is not like the parameter.
        """
        _check_parameter(parameter)
        if any(
            (each is None) == needed or (each is not None and not _alike(each, parameter))
            for each, needed in ((plan.first, self._has_first), (plan.second, self._has_second))
        ):
            raise ValueError(f"plan must be of a {type(self).__name__} for {described(parameter)}, got another one")
        state = self._state_of(parameter)
        state.first, state.second = _copied(plan.first), _copied(plan.second)
        state.n_steps = plan.number - 1 + len(plan.rates)

    def _rates(self, n_before: int, n_steps: int) -> NDArray[np.float64]:
        rate = self.learning_rate
        if isinstance(rate, float):
            rates = np.empty(n_steps)
            rates.fill(rate)  # half of the time of np.full
            return rates
        scheduled = rate(np.arange(n_before, n_before + n_steps))
        return as_weights(scheduled, "what the schedule learning_rate gives", (n_steps,), np.dtype(np.float64))

    def _state_of(self, parameter: Array) -> _State:
        key = id(parameter)
        state = self._states.get(key)
        if state is None or state.parameter() is not parameter:
            forget = self._states.pop
            state = self._states[key] = _State(
                weakref.ref(parameter, lambda _: forget(key, None)),
                parameter.shape,
                parameter.dtype,
                np.zeros(parameter.shape, parameter.dtype) if self._has_first else None,
                np.zeros(parameter.shape, parameter.dtype) if self._has_second else None,
            )
        elif not _alike(parameter, state):
            raise ValueError(
                f"parameter must keep the shape {state.shape} and dtype {state.dtype} of its first step, "
                f"got {described(parameter)}"
            )
        return state

    def __getstate__(self) -> dict[str, Any]:
        """With the parameters themselves: pickled or copied together with what they belong to, they stay the same.

        What is remembered of them is copied: a copy's steps are no steps of this one.
        """
        remembered = [
            (state.parameter(), _copied(state.first), _copied(state.second), state.n_steps)
            for state in self._states.values()
        ]
        return {**vars(self), "_states": remembered}

    def __setstate__(self, settings: dict[str, Any]) -> None:
        remembered = settings.pop("_states")
        vars(self).update(settings, _states={})
        for parameter, first, second, n_steps in remembered:
            if parameter is not None:
                state = self._state_of(parameter)
                state.first, state.second, state.n_steps = first, second, n_steps

    def _rule(self) -> dict[str, Any]:
        """The numbers of ``Rule`` in ``_steps.pxd``."""
        return self._numbers("SGD")

    def _numbers(
        self,
        kind: str,
        *,
        decay: float = 0.0,
        second_decay: float = 0.0,
        eps: float = 0.0,
        decoupled: bool = False,
    ) -> dict[str, Any]:
        return {
            "kind": _kernels.KINDS[kind],
            "decay": decay,
            "second_decay": second_decay,
            "eps": eps,
            "weight_decay": self.weight_decay,
            "decoupled": decoupled,
        }

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({settings})"


def _check_parameter(parameter: Array) -> None:
    if not isinstance(parameter, np.ndarray) or parameter.dtype not in (np.float32, np.float64):
        raise TypeError(f"parameter must be an array of float32 or float64, got {described(parameter)}")
    if not parameter.flags.writeable:
        raise ValueError("parameter must be writeable, got a read-only array")


def _copied(array: Array | None) -> Array | None:
    return None if array is None else array.copy()


def _alike(a: Array, b: Array | _State) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape


class SGD(_Base):
    """Gradient descent: w ← w − learning_rate · g.

    Parameters
    ----------
    learning_rate : float, not negative, or a schedule of `steelfast.schedules`
    weight_decay : float, not negative
        What is added to the gradient before anything else: g ← g + weight_decay · w.

    References
    ----------
    In the form of PyTorch's SGD.
    """

    def __init__(self, learning_rate: LearningRate = 0.01, *, weight_decay: float = 0.0) -> None:
        super().__init__(learning_rate, weight_decay)


class Momentum(_Base):
    """Gradient descent with momentum: v ← momentum · v + g; w ← w − learning_rate · v.

    Parameters
    ----------
    learning_rate : float, not negative, or a schedule of `steelfast.schedules`
    momentum : float in [0, 1]
    nesterov : bool
        Nesterov's form, which looks a step ahead: w ← w − learning_rate · (g + momentum · v).
    weight_decay : float, not negative
        What is added to the gradient before anything else: g ← g + weight_decay · w.

    References
    ----------
    Polyak (1964), Some methods of speeding up the convergence of iteration methods; Sutskever et al. (2013), On the
    importance of initialization and momentum in deep learning; both in the form of PyTorch's SGD.
    """

    _has_first = True

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.9,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        self.momentum = momentum
        self.nesterov = nesterov

    def _rule(self) -> dict[str, Any]:
        return self._numbers("Nesterov" if self.nesterov else "Momentum", decay=self.momentum)


class RMSProp(_Base):
    """Steps scaled by the recent size of the gradient: s ← decay · s + (1 − decay) · g²; w ← w − rate · g / (√s + eps).

    Parameters
    ----------
    learning_rate : float, not negative, or a schedule of `steelfast.schedules`
    decay : float in [0, 1]
    eps : float, not negative
    weight_decay : float, not negative
        What is added to the gradient before anything else: g ← g + weight_decay · w.

    References
    ----------
    Tieleman and Hinton (2012), Neural networks for machine learning, lecture 6.5; in the form of PyTorch's RMSprop.
    """

    _has_second = True

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        decay: float = 0.99,
        eps: float = 1e-8,
        *,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        self.decay = decay
        self.eps = eps

    def _rule(self) -> dict[str, Any]:
        return self._numbers("RMSProp", second_decay=self.decay, eps=self.eps)


class Adam(_Base):
    """Adam: momentum and RMSProp together, both corrected for their start at zero.

    m ← beta1 · m + (1 − beta1) · g; s ← beta2 · s + (1 − beta2) · g²; and in step t, from 1,
    w ← w − rate · m / (1 − beta1ᵗ) / (√(s / (1 − beta2ᵗ)) + eps).

    Parameters
    ----------
    learning_rate : float, not negative, or a schedule of `steelfast.schedules`
    beta1, beta2 : float in [0, 1)
        Decay of the gradient's and of its square's running mean.
    eps : float, not negative
    weight_decay : float, not negative
        What is added to the gradient before anything else: g ← g + weight_decay · w.
    decoupled_weight_decay : bool
        AdamW: the weights decay by themselves, w ← w − rate · weight_decay · w, and the gradient stays as it is.

    References
    ----------
    Kingma and Ba (2015), Adam: a method for stochastic optimization, arXiv:1412.6980; Loshchilov and Hutter (2019),
    Decoupled weight decay regularization, arXiv:1711.05101; in the forms of PyTorch's Adam and AdamW.
    """

    _has_first = _has_second = True

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        *,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
        self.decoupled_weight_decay = decoupled_weight_decay

    def _rule(self) -> dict[str, Any]:
        return self._numbers(
            "Adam", decay=self.beta1, second_decay=self.beta2, eps=self.eps, decoupled=self.decoupled_weight_decay
        )
