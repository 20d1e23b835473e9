"""Models with hidden layers: matrix products by NumPy's BLAS, and one fused pass over the minibatch between them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from steelfast import _kernels
from steelfast._arguments import as_count, as_number, described
from steelfast.heads import Head
from steelfast.models import Scaling, standardized
from steelfast.optimizers import Optimizer

__all__ = ["Network", "as_sizes", "n_parameters"]

Array = NDArray[Any]  # of float32 or float64, one dtype in a network
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
# a code of the kernels, which units do not drop out, and what those are multiplied by
Activation: TypeAlias = tuple[int, BoolArray | None, float]

# how many rows `logits` takes through the layers at a time
_ROWS_AT_ONCE = 1024
# the variance of the first weights of a layer, of its inputs and units
_VARIANCES = {"relu": lambda n_in, n_out: 2 / n_in, "tanh": lambda n_in, n_out: 2 / (n_in + n_out)}


class Network:
    """Logits of a multilayer perceptron: hidden layers h = f(x·w + b), each on the one before, then z = h·w + b.

    Parameters
    ----------
    n_features : int, at least 1
    hidden_layer_sizes : int or sequence of int, each at least 1
        The widths of the hidden layers; with none, (), the logits are linear in the features.
    n_classes : int, at least 1
    activation : {"relu", "tanh"}, default "relu"
        f: max(0, x), or the hyperbolic tangent.
    dropout : float in [0, 1), default 0
        The share of the hidden units that are left out of a step of training, at random, while the others count for
        1 / (1 - dropout); to the nearest 1/65536.
    rng : Generator or RandomState
        Where the weights are drawn from, and the seed of what drops out.
    dtype : float64 or float32

    Attributes
    ----------
    parameters : tuple of one array
        All that is learned, in one array, so that an optimiser changes it in one pass: the weights of each layer, those
        of the first (n_inputs, n_units) and those of the others the other way round, and after them the biases. It is
        changed in place.
    weights, biases : list of array
        Views of the parameters: for each layer (n_inputs, n_units), and (n_units,).

    Raises
    ------
    TypeError, ValueError
        If a size is not an integer or below 1, the activation unknown, dropout not in [0, 1), or dtype another one.

    References
    ----------
    He, Zhang, Ren, Sun (2015), Delving deep into rectifiers, arXiv:1502.01852, for the weights with ReLU; Glorot and
    Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, for those with tanh;
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), Dropout.

    Examples
    --------
    The exclusive or, which no linear model learns:

    >>> import numpy as np
    >>> from steelfast.heads import HEADS
    >>> from steelfast.network import Network
    >>> from steelfast.optimizers import Adam
    >>> from steelfast.trainer import train
    >>> X, labels = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
    >>> rng = np.random.default_rng(0)
    >>> network = Network(2, (8,), 2, rng=rng)
    >>> head = HEADS["softmax_cross_entropy"]
    >>> history = train(
    ...     network, X, labels, head=head, optimizer=Adam(0.1), n_epochs=50, batch_size=4, rng=rng
    ... )
    >>> network.logits(X).argmax(axis=1)
    array([0, 1, 1, 0])
    """

    def __init__(
        self,
        n_features: int,
        hidden_layer_sizes: Sequence[int] | int,
        n_classes: int,
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        rng: np.random.Generator | np.random.RandomState,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.layer_sizes = (
            as_count(n_features, "n_features", 1),
            *as_sizes(hidden_layer_sizes),
            as_count(n_classes, "n_classes", 1),
        )
        if not isinstance(activation, str) or activation not in _VARIANCES:
            raise ValueError(f"activation must be one of {', '.join(_VARIANCES)}, got {activation!r:.60}")
        self.activation = activation
        self.dropout = as_number(dropout, "dropout", 0.0, 1.0, below=True)
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
        self.parameters: tuple[Array, ...] = (
            np.zeros(n_parameters(self.layer_sizes[0], self.layer_sizes[1:-1], self.layer_sizes[-1]), dtype),
        )
        for weights in self.weights:
            weights[...] = np.sqrt(_VARIANCES[activation](*weights.shape)) * rng.standard_normal(weights.shape)
        self._dropping = np.random.SFC64(int.from_bytes(rng.bytes(16), "little")) if self.dropout else None

    # views of their own, so that nothing done to their shape reaches those that are kept

    @property
    def weights(self) -> list[Array]:
        return [weights[...] for weights in self._layers[0]]

    @property
    def biases(self) -> list[Array]:
        return [bias[...] for bias in self._layers[1]]

    @cached_property
    def _layers(self) -> tuple[list[Array], list[Array]]:
        return self._layers_of(self.parameters[0])

    def __getstate__(self) -> dict[str, object]:
        # the views would come back as arrays of their own
        return {name: value for name, value in self.__dict__.items() if name != "_layers"}

    def __repr__(self) -> str:
        n_features, *hidden, n_classes = self.layer_sizes
        units = f"{', '.join(map(str, hidden))} hidden units ({self.activation})" if hidden else "no hidden units"
        return f"<Network: {n_features} features, {units}, {n_classes} classes, {self.parameters[0].dtype}>"

    def logits(self, X: Array, scaling: Scaling | None = None) -> Array:
        """The logits of rows of features, see `Model`; no unit drops out."""
        dtype, *hidden, n_classes = self.parameters[0].dtype, *self.layer_sizes[1:]
        logits, activations = np.empty((len(X), n_classes), dtype), self._activations()
        tables = [np.empty((min(_ROWS_AT_ONCE, len(X)), n_units), dtype) for n_units in hidden]
        weights, _ = self._layers
        if len(X) > _ROWS_AT_ONCE:  # then it pays to have them all as BLAS likes them on the way through
            weights = [np.ascontiguousarray(each) for each in weights]
        for start in range(0, len(X), _ROWS_AT_ONCE):
            batch = slice(start, start + _ROWS_AT_ONCE)
            rows = standardized(X[batch], scaling, dtype)
            self._check(rows)
            outputs = [table[: len(rows)] for table in tables] + [logits[batch]]
            self._forward(rows, weights, outputs, activations)
        return logits

    def value_and_grad(
        self,
        X: Array,
        labels: IntArray,
        head: Head,
        *,
        l2: float = 0.0,
        row_weights: Array | None = None,
        kept: Sequence[BoolArray] | None = None,
    ) -> tuple[float, Array]:
        """What a step of training makes smaller, the mean loss + l2/2 · Σ w², and its gradient.

        Parameters
        ----------
        X, labels, head, l2, row_weights
            As `steelfast.models.Model.train_epochs` takes them, for a single minibatch.
        kept : sequence of bool arrays of shape (n, n_units), optional
            For each hidden layer which units do not drop out; without it none does.

        Returns
        -------
        float, array of the shape of the parameters

        Raises
        ------
        ValueError
            If X is of another dtype or width than the network, or `kept` does not fit its hidden layers.
        """
        self._check(X)
        if kept is not None:
            masks = zip(kept, self.layer_sizes[1:-1], strict=True)
            kept = [np.ascontiguousarray(np.broadcast_to(mask, (len(X), n)), bool) for mask, n in masks]
        passes = _Passes(self, len(X))
        activations = self._activations(kept)
        logits = passes.forward(X, activations)
        loss, _ = head.differentiate(logits, labels, row_weights=row_weights, divisor=len(X))
        passes.backward(X, activations, l2)
        penalty = l2 / 2 * sum(float(np.square(w, dtype=np.float64).sum()) for w in self.weights)
        return loss / len(X) + penalty, passes.gradient.copy()  # not with all that was worked in

    def train_epochs(
        self,
        X: Array,
        labels: IntArray,
        orders: IntArray,
        batch_size: int,
        head: Head,
        optimizer: Optimizer,
        *,
        l2: float = 0.0,
        row_weights: Array | None = None,
    ) -> list[tuple[float, float]]:
        """Epochs, see `Model`."""
        self._check(X)
        [parameters] = self.parameters
        passes = _Passes(self, min(batch_size, len(X)))
        results = []
        with np.errstate(over="ignore", invalid="ignore"):  # whoever trains looks at what came of it
            for order in orders:
                weights = None if row_weights is None else row_weights[order]
                results.append(
                    self._train_epoch(passes, X[order], labels[order], batch_size, head, optimizer, l2, weights)
                )
                if not (math.isfinite(results[-1][0]) and np.isfinite(parameters).all()):
                    break
        return results

    def _train_epoch(
        self,
        passes: _Passes,
        X: Array,
        labels: IntArray,
        batch_size: int,
        head: Head,
        optimizer: Optimizer,
        l2: float,
        row_weights: Array | None,
    ) -> tuple[float, float]:
        """The rows as they stand."""
        [parameters] = self.parameters
        activations = self._activations()
        loss = correct = 0.0
        starts = range(0, len(X), batch_size)
        plan = optimizer.begin(parameters, len(starts))
        for k, start in enumerate(starts):
            batch = slice(start, start + batch_size)
            rows = X[batch]
            passes = passes.of(len(rows))
            if self.dropout:
                activations = self._activations(self._draw_kept(len(rows)))
            batch_loss, batch_correct = head.differentiate(
                passes.forward(rows, activations),
                labels[batch],
                row_weights=None if row_weights is None else row_weights[batch],
                divisor=len(rows),
            )
            passes.backward(rows, activations, l2)
            plan.take(k, parameters, passes.gradient)
            loss += batch_loss
            correct += batch_correct
        return loss / len(X), correct / len(X)

    def _activations(self, kept: Sequence[BoolArray] | None = None) -> list[Activation]:
        """What the kernels do in each layer."""
        code = _kernels.ACTIVATIONS[self.activation]
        logits: Activation = (_kernels.ACTIVATIONS["identity"], None, 1.0)
        if kept is None:
            return [(code, None, 1.0)] * (len(self.layer_sizes) - 2) + [logits]
        scale = 65536 / (65536 - self._threshold)
        return [(code, mask, scale) for mask in kept] + [logits]

    def _forward(
        self, X: Array, weights: Sequence[Array], outputs: Sequence[Array], activations: Sequence[Activation]
    ) -> None:
        """Fill in what comes out of each layer for these rows, at last the logits."""
        for matrix, bias, output, activation in zip(weights, self._layers[1], outputs, activations, strict=True):
            X.dot(matrix, output)
            _kernels.activate(output, bias, *activation)
            X = output

    def _check(self, X: Array) -> None:
        dtype, n_features = self.parameters[0].dtype, self.layer_sizes[0]
        if X.dtype != dtype or X.ndim != 2 or X.shape[1] != n_features:
            raise ValueError(f"X must be an array of {dtype} with {n_features} features, got {described(X)}")

    def _layers_of(self, flat: Array) -> tuple[list[Array], list[Array]]:
        """The weights and the biases in an array laid out as the parameters are."""
        # Units by inputs, so that the three products of a layer are fastest. The first has but two, as nobody wants the
        # gradient of its inputs, and these are faster the other way round: when they are small, by a fifth to a third.
        first, *others = pairwise(self.layer_sizes)
        shapes = [first, *((m, n) for n, m in others), *((n_units,) for n_units in self.layer_sizes[1:])]
        ends = list(accumulate(map(math.prod, shapes), initial=0))
        parts = [flat[a:b].reshape(shape) for (a, b), shape in zip(pairwise(ends), shapes, strict=True)]
        n_layers = len(self.layer_sizes) - 1
        return [parts[0], *(part.T for part in parts[1:n_layers])], parts[n_layers:]

    @property
    def _threshold(self) -> int:
        """How many of 65536 equally likely numbers make a unit drop out; never all."""
        return min(round(self.dropout * 65536), 65535)

    def _draw_kept(self, n_rows: int) -> list[BoolArray] | None:
        """For each hidden layer which units do not drop out."""
        if self._dropping is None:
            return None
        kept = []
        for n_units in self.layer_sizes[1:-1]:
            # 16 bits for each unit, four units a draw: a number for each would take four times as long
            bits = self._dropping.random_raw(-(-n_rows * n_units // 4)).view(np.uint16)
            kept.append((bits[: n_rows * n_units] >= self._threshold).reshape(n_rows, n_units))
        return kept


class _Passes:
    """The way through the layers and back, for minibatches of as many rows as there is room for.

    Its arrays are one piece of memory: the C library hands that out again the next time, where it would give many back
    to the system, which clears every page before it gives it anew.
    """

    def __init__(self, network: Network, n_rows: int) -> None:
        [parameters] = network.parameters
        self._network = network
        # the gradient, what comes out of each layer, and the gradient with respect to that
        shapes = [(n_rows, n_units) for n_units in network.layer_sizes[1:]]
        self.gradient, *tables = _arrays([parameters.shape, *shapes, *shapes[:-1]], parameters.dtype)
        self._outputs, self._grads = tables[: len(shapes)], tables[len(shapes) :]
        self._weight_grads, self._bias_grads = network._layers_of(self.gradient)
        n_weights = sum(grad.size for grad in self._weight_grads)
        self._all_weights, self._all_weight_grads = parameters[:n_weights], self.gradient[:n_weights]

    def of(self, n_rows: int) -> _Passes:
        """The same for so many rows, no more than there is room for."""
        if n_rows == len(self._outputs[0]):
            return self
        fewer = copy.copy(self)
        fewer._outputs = [output[:n_rows] for output in self._outputs]
        fewer._grads = [grad[:n_rows] for grad in self._grads]
        return fewer

    def forward(self, X: Array, activations: Sequence[Activation]) -> Array:
        """The logits of the rows, in an array that is used again."""
        self._network._forward(X, self._network._layers[0], self._outputs, activations)
        return self._outputs[-1]

    def backward(self, X: Array, activations: Sequence[Activation], l2: float) -> None:
        """Fill in the gradient, where the logits of the rows have become the gradient with respect to them."""
        weights, _ = self._network._layers
        grads = [*self._grads, self._outputs[-1]]
        for k in reversed(range(len(grads))):
            code, mask, scale = activations[k]
            _kernels.activate_grad(grads[k], self._outputs[k], code, self._bias_grads[k], mask, scale)
            if k:
                grads[k].T.dot(self._outputs[k - 1], self._weight_grads[k].T)
                grads[k].dot(weights[k].T, grads[k - 1])
        X.T.dot(grads[0], self._weight_grads[0])
        if l2:
            self._all_weight_grads += l2 * self._all_weights


def _arrays(shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any]) -> list[Array]:
    """Arrays of these shapes, not filled in, each at the beginning of a cache line of one piece of memory."""
    line = 64 // dtype.itemsize
    sizes = [math.prod(shape) for shape in shapes]
    starts = list(accumulate((-(-size // line) * line for size in sizes), initial=0))
    memory = np.empty(starts[-1] + line, dtype)
    memory = memory[-memory.ctypes.data % 64 // dtype.itemsize :]
    parts = zip(starts, sizes, shapes, strict=False)
    return [memory[start : start + size].reshape(shape) for start, size, shape in parts]


def as_sizes(x: object) -> tuple[int, ...]:
    """Widths of hidden layers, from those that a user gives, or from a single one."""
    # a tuple nearly always: to ask for a Sequence takes 1 µs
    sizes: Iterable[object] = x if isinstance(x, (tuple, Sequence)) or (isinstance(x, np.ndarray) and x.ndim) else [x]
    return tuple(as_count(size, "each of hidden_layer_sizes", 1) for size in sizes)


def n_parameters(n_features: int, hidden_layer_sizes: Sequence[int], n_classes: int) -> int:
    """How many numbers a network of these widths has."""
    return sum((n + 1) * m for n, m in pairwise([n_features, *hidden_layer_sizes, n_classes]))
