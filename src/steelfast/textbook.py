"""The book's own function names on top of the kernels: a reader of the book changes one import.

>>> from steelfast.textbook import *

The order of the arguments is the book's, too, and so is the 1e-10 in the logarithm of the softmax
cross-entropy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelfast import _kernels
from steelfast._arguments import as_axis, as_floating
from steelfast.datasets import SteelPlates, load_steel_plates
from steelfast.experiments import CAP, SEED, Epoch, Run, run

__all__ = [
    "eval_accuracy",
    "relu",
    "sigmoid",
    "sigmoid_cross_entropy_with_logits",
    "sigmoid_cross_entropy_with_logits_derv",
    "sigmoid_derv",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits_derv",
    "softmax_derv",
    "steel_exec",
]

Array = NDArray[Any]


def relu(x: ArrayLike) -> Array:
    """The positive part of x, element by element.

    >>> relu([-1.0, 2.0])
    array([0., 2.])
    """
    [x] = _numbers(x=x)
    positive: Array = np.maximum(x, 0)
    return positive


def sigmoid(x: ArrayLike) -> Array:
    """σ(x) = 1 / (1 + exp(−x)), element by element.

    >>> sigmoid([0.0])
    array([0.5])
    """
    y: Array = _kernels.sigmoid(x)
    return y


def sigmoid_derv(x: ArrayLike, y: ArrayLike) -> Array:
    """The derivative of the sigmoid, y (1 − y), from y = sigmoid(x); x itself is not needed.

    >>> sigmoid_derv([0.0], sigmoid([0.0]))
    array([0.25])
    """
    [y] = _numbers(y=y)
    derivative: Array = y * (1 - y)
    return derivative


def sigmoid_cross_entropy_with_logits(z: ArrayLike, x: ArrayLike) -> Array:
    """Cross-entropy of labels z and sigmoid(x), element by element: x − x z + log(1 + exp(−x)).

    >>> sigmoid_cross_entropy_with_logits([1.0], [0.0])
    array([0.69314718])
    """
    z, x = np.broadcast_arrays(*_numbers(z=z, x=x))
    losses: Array = _kernels.sigmoid_cross_entropy(x, z, reduction="none")
    return losses


def sigmoid_cross_entropy_with_logits_derv(z: ArrayLike, x: ArrayLike) -> Array:
    """The derivative of the sigmoid cross-entropy with respect to the logits, sigmoid(x) − z.

    >>> sigmoid_cross_entropy_with_logits_derv([1.0], [0.0])
    array([-0.5])
    """
    z, x = np.broadcast_arrays(*_numbers(z=z, x=x))
    grad: Array = _kernels.sigmoid_cross_entropy_grad(x, z, reduction="none")
    return grad


def softmax(x: ArrayLike) -> Array:
    """The softmax of each row.

    >>> softmax([[0.0, 0.0]])
    array([[0.5, 0.5]])
    """
    [x] = _rows(x=x)
    return _kernels.softmax(x)


def softmax_derv(x: ArrayLike, y: ArrayLike) -> Array:
    """The Jacobian of the softmax, (n, C, C), from y = softmax(x); x itself is not needed.

    >>> softmax_derv([[0.0, 0.0]], softmax([[0.0, 0.0]]))
    array([[[ 0.25, -0.25],
            [-0.25,  0.25]]])
    """
    [y] = _rows(y=y)
    return _kernels.softmax_jacobian(y)


def softmax_cross_entropy_with_logits(labels: ArrayLike, logits: ArrayLike) -> Array:
    """Cross-entropy of each row, capped: −Σ labels · log(softmax(logits) + 1e-10).

    `steelfast.softmax_cross_entropy` is the same without the 1e-10, and exact.

    >>> softmax_cross_entropy_with_logits([[1.0, 0.0]], [[0.0, 1000.0]])
    array([23.02585093])
    """
    labels, logits = _rows(labels=labels, logits=logits)
    losses: Array = _kernels.cross_entropy(labels, _kernels.softmax(logits), eps=CAP)
    return losses


def softmax_cross_entropy_with_logits_derv(labels: ArrayLike, logits: ArrayLike) -> Array:
    """The derivative of the cross-entropy with respect to the logits, softmax(logits) − labels.

    >>> softmax_cross_entropy_with_logits_derv([[1.0, 0.0]], [[0.0, 0.0]])
    array([[-0.5,  0.5]])
    """
    labels, logits = _numbers(labels=labels, logits=logits)
    grad: Array = _kernels.softmax(logits) - labels
    return grad


def eval_accuracy(output: ArrayLike, y: ArrayLike) -> float:
    """The share of rows whose largest output is where the largest y is.

    >>> eval_accuracy([[0.1, 0.9], [0.8, 0.2]], [[0, 1], [0, 1]])
    0.5
    """
    output, y = _rows(output=output, y=y)
    if output.ndim != 2:
        raise ValueError(f"output must have a row for each plate, got shape {output.shape}")
    right = output.argmax(axis=1) == y.argmax(axis=1)
    return float(right.mean()) if len(right) else float("nan")  # as a mean of losses over nothing


def steel_exec(
    epoch_count: int = 10,
    mb_size: int = 10,
    report: int = 1,
    *,
    learning_rate: float = 0.001,
    head: str = "softmax+cross-entropy",
    plates: SteelPlates | None = None,
    stream: np.random.RandomState | None = None,
) -> None:
    """Run the book's experiment and print its lines.

    Parameters
    ----------
    epoch_count, mb_size : int, at least 1
        How many epochs; how many plates in a minibatch.
    report : int
        Print a line every so many epochs; none if 0.
    learning_rate : float
    head : {"softmax+cross-entropy", "sigmoid+MSE", "sigmoid+MSE of sigmoids"}
    plates : SteelPlates, optional
        By default what `steelfast.load_steel_plates` brings.
    stream : RandomState, optional
        What weights and shuffles are drawn from; by default a new one, seeded with 1234. To run the
        experiment twice on one stream, as the book does, give both the same.

    Raises
    ------
    ValueError, TypeError
        As `steelfast.experiments.run`.

    Examples
    --------
    >>> from steelfast import load_steel_plates
    >>> steel_exec(2, report=2, plates=load_steel_plates(source="twin"))  # doctest: +ELLIPSIS
    Epoch 2: loss=..., accuracy=.../...
    <BLANKLINE>
    Final Test: final accuracy = ...
    """

    def print_line(_: Run, epoch: Epoch) -> None:
        if report > 0 and epoch.epoch % report == 0:
            print(epoch.line())

    result = run(
        load_steel_plates() if plates is None else plates,
        Run(head, learning_rate),
        np.random.RandomState(SEED) if stream is None else stream,
        epoch_count=epoch_count,
        mb_size=mb_size,
        callback=print_line,
    )
    print(f"\nFinal Test: final accuracy = {result.final_test_accuracy:5.3f}")


# what is wrong with an argument is said here: the kernels know it under another name


def _numbers(**arguments: ArrayLike) -> list[Array]:
    """The arguments as arrays of numbers whose shapes broadcast."""
    for name, argument in arguments.items():
        as_floating(argument, name)
    arrays = [np.asarray(argument) for argument in arguments.values()]
    try:
        np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        shapes = " and ".join(f"{name} {array.shape}" for name, array in zip(arguments, arrays, strict=True))
        raise ValueError(f"the shapes do not broadcast: {shapes}") from None
    return arrays


def _rows(**arguments: ArrayLike) -> list[Array]:
    """The arguments as arrays of numbers of one shape, with a row for each plate."""
    arrays = _numbers(**arguments)
    (first, _), *_ = arguments.items()
    for name, array in zip(arguments, arrays, strict=True):
        as_axis(-1, array, name)
        if array.shape != arrays[0].shape:
            raise ValueError(f"{name} must have the shape of {first}, {arrays[0].shape}, got {array.shape}")
    return arrays
