"""Learning rates that change on the way: functions of the number of the step, counted from 0.

An optimiser takes one in the place of its learning rate, and counts the steps of each parameter.

>>> from steelfast.optimizers import SGD
>>> from steelfast.schedules import Cosine
>>> SGD(Cosine(0.1, n_steps=1000))
SGD(learning_rate=Cosine(learning_rate=0.1, n_steps=1000, minimum=0.0), weight_decay=0.0)
"""

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from steelfast._arguments import as_count, as_number, described

__all__ = ["Constant", "Cosine", "OneCycle", "Schedule", "Step"]

FloatArray = NDArray[np.float64]

_MOST_STEPS = 1 << 62  # so that numbers of steps, and twice as many, are int64


class Schedule:
    """A learning rate as a function of the number of the step, from 0.

    Examples
    --------
    >>> from steelfast.schedules import Step
    >>> Step(0.8, step_size=10, gamma=0.5)(25)
    0.2
    """

    @overload
    def __call__(self, step: int) -> float: ...
    @overload
    def __call__(self, step: NDArray[np.integer[Any]]) -> FloatArray: ...
    def __call__(self, step: int | NDArray[np.integer[Any]]) -> float | FloatArray:
        """The learning rate of a step, or of each in an array.

        Parameters
        ----------
        step : int or array of int, not negative

        Returns
        -------
        float, or float64 array of the shape of `step`

        Raises
        ------
        TypeError
            If the steps are not integers.
        ValueError
            If one is negative, or not below 2**63.
        """
        steps = np.asarray(step)
        if steps.dtype.kind not in "iu" and type(step) is not int:  # for whole numbers NumPy has no dtype from 2**64 on
            raise TypeError(f"step must be an integer or an array of integers, got {described(step)}")
        if steps.size and (steps.min() < 0 or steps.max() >= 2**63):
            wrong = steps.min() if steps.min() < 0 else steps.max()
            raise ValueError(f"step must be at least 0 and below 2**63, got {wrong}")
        steps = steps.astype(np.int64)
        # in an array even if it is one, so that one has the bits that it has among others
        with np.errstate(under="ignore"):  # a rate may come down to 0
            rates = self._rates(np.atleast_1d(steps))
        return rates if steps.ndim else float(rates[0])

    def _rates(self, steps: NDArray[np.int64]) -> FloatArray:
        raise NotImplementedError

    def _set(self, **numbers: float) -> None:
        """Puts checked numbers into the fields, which are frozen for everybody else."""
        for name, number in numbers.items():
            object.__setattr__(self, name, number)


def _as_rate(x: object, name: str) -> float:
    return as_number(x, name, 0.0, np.inf, below=True)


def _as_steps(x: object, name: str) -> int:
    number = as_count(x, name, 1)
    if number >= _MOST_STEPS:
        raise ValueError(f"{name} must be below 2**62, got {number}")
    return number


def _along_cosine(start: float, end: float, progress: FloatArray) -> FloatArray:
    """From start, at progress 0, to end, at 1, along half a period of a cosine."""
    rates: FloatArray = end + (start - end) / 2.0 * (1.0 + np.cos(np.pi * progress))
    return rates


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate at every step, as a number would be.

    Parameters
    ----------
    learning_rate : float, not negative

    Examples
    --------
    >>> from steelfast.schedules import Constant
    >>> Constant(0.1)(1000)
    0.1
    """

    learning_rate: float

    def __post_init__(self) -> None:
        self._set(learning_rate=_as_rate(self.learning_rate, "learning_rate"))

    def _rates(self, steps: NDArray[np.int64]) -> FloatArray:
        return np.full(steps.shape, self.learning_rate)


@dataclass(frozen=True)
class Step(Schedule):
    """Times gamma after every step_size steps: learning_rate · gamma^⌊t / step_size⌋.

    Parameters
    ----------
    learning_rate : float, not negative
    step_size : int, at least 1 and below 2**62
    gamma : float in [0, 1]

    References
    ----------
    PyTorch's ``StepLR``.

    Examples
    --------
    >>> import numpy as np
    >>> from steelfast.schedules import Step
    >>> Step(0.8, step_size=2, gamma=0.5)(np.arange(6))
    array([0.8, 0.8, 0.4, 0.4, 0.2, 0.2])
    """

    learning_rate: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._set(
            learning_rate=_as_rate(self.learning_rate, "learning_rate"),
            step_size=_as_steps(self.step_size, "step_size"),
            gamma=as_number(self.gamma, "gamma", 0.0, 1.0),
        )

    def _rates(self, steps: NDArray[np.int64]) -> FloatArray:
        rates: FloatArray = self.learning_rate * self.gamma ** (steps // self.step_size).astype(np.float64)
        return rates


@dataclass(frozen=True)
class Cosine(Schedule):
    """Down half a period of a cosine: minimum + (learning_rate − minimum) · (1 + cos(π t / n_steps)) / 2.

    After n_steps steps it is at the minimum; then it rises again as it came, as the formula says and PyTorch does.

    Parameters
    ----------
    learning_rate : float, not negative
    n_steps : int, at least 1 and below 2**62
    minimum : float, not negative

    References
    ----------
    Loshchilov and Hutter (2017), SGDR: stochastic gradient descent with warm restarts, arXiv:1608.03983, without the
    restarts; PyTorch's ``CosineAnnealingLR``.

    Examples
    --------
    >>> import numpy as np
    >>> from steelfast.schedules import Cosine
    >>> Cosine(0.1, n_steps=4)(np.arange(5)).round(3)
    array([0.1  , 0.085, 0.05 , 0.015, 0.   ])
    """

    learning_rate: float
    n_steps: int
    minimum: float = 0.0

    def __post_init__(self) -> None:
        self._set(
            learning_rate=_as_rate(self.learning_rate, "learning_rate"),
            n_steps=_as_steps(self.n_steps, "n_steps"),
            minimum=_as_rate(self.minimum, "minimum"),
        )

    def _rates(self, steps: NDArray[np.int64]) -> FloatArray:
        # whole periods are taken off while the numbers are whole
        return _along_cosine(self.learning_rate, self.minimum, steps % (2 * self.n_steps) / self.n_steps)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to max_learning_rate and down to nearly nothing, each along half a period of a cosine.

    It begins at max_learning_rate / div_factor, reaches the maximum at step pct_start · n_steps − 1, and ends, at step
    n_steps − 1, at that beginning / final_div_factor, where it stays. A single step is the last: next to nothing is
    learned by it, as by PyTorch's.

    Parameters
    ----------
    max_learning_rate : float, not negative
    n_steps : int, at least 1 and below 2**62
    pct_start : float in [0, 1]
        The share of the steps on the way up.
    div_factor, final_div_factor : float, at least 1

    References
    ----------
    Smith and Topin (2018), Super-convergence: very fast training of neural networks using large learning rates,
    arXiv:1708.07120; PyTorch's ``OneCycleLR`` with two phases. The momentum is left alone.

    Examples
    --------
    >>> import numpy as np
    >>> from steelfast.schedules import OneCycle
    >>> OneCycle(1.0, n_steps=10)(np.arange(10)).round(3)
    array([0.04 , 0.52 , 1.   , 0.95 , 0.812, 0.611, 0.389, 0.188, 0.05 ,
           0.   ])
    """

    max_learning_rate: float
    n_steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        self._set(
            max_learning_rate=_as_rate(self.max_learning_rate, "max_learning_rate"),
            n_steps=_as_steps(self.n_steps, "n_steps"),
            pct_start=as_number(self.pct_start, "pct_start", 0.0, 1.0),
            div_factor=as_number(self.div_factor, "div_factor", 1.0, np.inf, below=True),
            final_div_factor=as_number(self.final_div_factor, "final_div_factor", 1.0, np.inf, below=True),
        )

    def _rates(self, steps: NDArray[np.int64]) -> FloatArray:
        highest, last = self.max_learning_rate, self.n_steps - 1
        start = highest / self.div_factor
        peak = self.pct_start * self.n_steps - 1.0
        t = np.minimum(steps, last).astype(np.float64)
        # a phase without length is at its end
        rise = t / peak if peak > 0.0 else np.ones(t.shape)
        fall = (t - peak) / (last - peak) if last > peak else np.ones(t.shape)
        return np.where(
            t <= peak,
            _along_cosine(start, highest, rise),
            _along_cosine(highest, start / self.final_div_factor, fall),
        )
