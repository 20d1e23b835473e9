"""A classifier of steel-plate faults, or of anything else, as a scikit-learn estimator.

The training is `trainer`'s; here are scaling, weights of rows and classes, the checks that
scikit-learn asks for, and models as files.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args
from zipfile import ZIP_STORED

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import ArrayLike, DTypeLike, NDArray

from steelfast import _kernels
from steelfast._arguments import as_array, as_choice, as_count, as_finite, as_flag, as_number, as_weights, described
from steelfast._files import write_bytes
from steelfast.heads import HEADS, Head
from steelfast.models import LinearModel, Model, Scaling, scaling_of, standardized
from steelfast.network import Network, as_sizes, n_parameters
from steelfast.optimizers import SGD, Adam, LearningRate, Momentum, Optimizer, Plan, RMSProp
from steelfast.schedules import Cosine, OneCycle, Step
from steelfast.trainer import EarlyStopping, Epoch, train

try:
    from sklearn import config_context  # type: ignore[import-untyped]
    from sklearn.base import BaseEstimator, ClassifierMixin  # type: ignore[import-untyped]
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
    from sklearn.utils import check_random_state, compute_class_weight  # type: ignore[import-untyped]
    from sklearn.utils.metadata_routing import UNUSED  # type: ignore[import-untyped]
    from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]
    from sklearn.utils.validation import (  # type: ignore[import-untyped]
        assert_all_finite,
        check_is_fitted,
        validate_data,
    )
except ModuleNotFoundError as error:
    raise ImportError(f'SteelClassifier needs scikit-learn: pip install "steelfast[sklearn]" ({error})') from error

__all__ = ["SteelClassifier"]

Array = NDArray[Any]
IntArray = NDArray[np.int64]
Loss = Literal["softmax_cross_entropy", "sigmoid_mse", "sigmoid_cross_entropy"]
OptimizerName = Literal["sgd", "momentum", "rmsprop", "adam"]
Schedule = Literal["constant", "step", "cosine", "one_cycle"]
Activation = Literal["relu", "tanh"]
FloatName = Literal["float64", "float32"]
Callback = Callable[[Epoch], bool | None]

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "loss": get_args(Loss),
    "optimizer": get_args(OptimizerName),
    "schedule": get_args(Schedule),
    "activation": get_args(Activation),
    "dtype": get_args(FloatName),
}
_OPTIMIZERS: Mapping[str, Callable[[LearningRate], Optimizer]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "rmsprop": RMSProp,
    "adam": Adam,
}
# what None stands for, by whether there are hidden layers: the best of a few in ten-fold cross-validation on the
# plates; the losses of the sigmoid are means over the classes, and flatter
_SOFTMAX_RATES = {
    False: {"sgd": 0.2, "momentum": 0.02, "rmsprop": 0.003, "adam": 0.01},
    True: {"sgd": 0.2, "momentum": 0.02, "rmsprop": 0.001, "adam": 0.003},
}
_SIGMOID_RATES = {
    False: {"sgd": 2.0, "momentum": 0.2, "rmsprop": 0.01, "adam": 0.02},
    True: {"sgd": 4.0, "momentum": 0.5, "rmsprop": 0.003, "adam": 0.01},
}
# of the linear softmax the ten-fold log-loss falls from 0.87 to 0.79 with it at the same accuracy, of that with a
# hidden layer of 64 from 0.72 to 0.65; linear sigmoids lose by any
_SOFTMAX_L2 = {False: 0.003, True: 0.003}
_SIGMOID_L2 = {False: 0.0, True: 0.0001}

# of which the kernel finds the largest sooner than NumPy
_MOST_CLASSES = 32
# whose logits `predict` makes before it looks at them: in memory that was used before, and is in a cache
_ROWS_AT_ONCE = 1 << 16

_FORMAT = "steelfast.SteelClassifier"
_FORMAT_VERSION = 3
_SCALING = ("mean_", "scale_")
_MEMBERS = {"about", "classes_", *_SCALING, "coef_", "intercept_", "parameters", "feature_names_in_"}


class _Shape(NamedTuple):
    """The parameters that decide what a fitted model is: they are kept with it, whatever is set later."""

    loss: str
    standardize: bool
    dtype: str
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    dropout: float


class _Settings(NamedTuple):
    """The parameters of an estimator, checked, and with numbers for None."""

    head: Head
    optimizer: str
    rate: float
    schedule: str
    n_epochs: int
    batch_size: int
    shape: _Shape
    l2: float
    early_stopping: EarlyStopping | None
    validation_fraction: float

    def begin(self, n_rows: int, bit_generator: np.random.BitGenerator) -> _Progress:
        """A training of `n_epochs` through so many rows."""
        n_steps = self.n_epochs * -(-n_rows // self.batch_size)
        rate: LearningRate = self.rate
        if self.schedule == "step":
            rate = Step(self.rate, -(-n_steps // 3), 0.1)
        elif self.schedule == "cosine":
            rate = Cosine(self.rate, n_steps)
        elif self.schedule == "one_cycle":
            rate = OneCycle(self.rate, n_steps)
        return _Progress(self.recipe, rate, bit_generator)

    @property
    def recipe(self) -> tuple[str, float, str]:
        """What makes the optimiser."""
        return self.optimizer, self.rate, self.schedule


@dataclass
class _Progress:
    """What a training goes on with: where the random numbers are, and what the optimiser remembers.

    It knows the model's arrays by their order, not by identity, which joblib does not keep.
    """

    recipe: tuple[str, float, str]
    rate: LearningRate
    bit_generator: np.random.BitGenerator
    memory: list[Plan] | None = None

    def copy(self) -> _Progress:
        """To go on with twice; an optimiser that resumes copies what is remembered."""
        # deepcopy would seed another one from the system first, which takes three times as long
        bit_generator = type(self.bit_generator)(0)
        bit_generator.state = self.bit_generator.state
        return replace(self, bit_generator=bit_generator)

    def optimizer_of(self, model: Model) -> Optimizer:
        optimizer = _OPTIMIZERS[self.recipe[0]](self.rate)
        if self.memory is not None:
            for parameter, plan in zip(model.parameters, self.memory, strict=True):
                optimizer.resume(parameter, plan)
        return optimizer

    def remember(self, optimizer: Optimizer, model: Model) -> None:
        self.memory = [optimizer.begin(parameter, 0) for parameter in model.parameters]

    def shuffle(self, x: Array) -> None:
        # always from the order of the rows: so an epoch is the same whether `fit` or `partial_fit` goes through it
        _kernels.shuffle(x, self.bit_generator, from_start=True)


class SteelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifier on standardised features, linear or with hidden layers, trained in minibatches by our kernels.

    Parameters
    ----------
    loss : {"softmax_cross_entropy", "sigmoid_mse", "sigmoid_cross_entropy"}, \
            default="softmax_cross_entropy"
        What is minimised. The softmax makes one distribution over the classes; the sigmoids judge
        each class by itself, and their probabilities are scaled to sum to 1.
    optimizer : {"sgd", "momentum", "rmsprop", "adam"}, default="adam"
        How the weights follow the gradient, see `steelfast.optimizers`.
    learning_rate : float, default=None
        None stands for a rate that suits the optimizer, the loss and the layers: 0.01 for the default ones.
    schedule : {"constant", "step", "cosine", "one_cycle"}, default="constant"
        How the rate goes on through `max_epochs`: not at all; to a tenth after each third; down to 0 along a cosine; or
        up to it in the first 30 % and down to almost 0. See `steelfast.schedules`.
    batch_size : int, default=128
        Rows in a minibatch; with fewer rows than that, all of them.
    max_epochs : int, default=100
        How often the training goes through all rows.
    hidden_layer_sizes : sequence of int, default=()
        The widths of the hidden layers, see `steelfast.network`; without any the model is linear.
    activation : {"relu", "tanh"}, default="relu"
        Of the hidden layers.
    dropout : float in [0, 1), default=0.0
        The share of the hidden units that are left out of each step.
    l2 : float, default=None
        Strength of the penalty l2/2 · Σ coef². None stands for a strength that suits the loss and the layers: 0.003 for
        the linear softmax, 0 for the linear sigmoids. The recorded losses are without it.
    class_weight : dict or "balanced", default=None
        What the rows of each class count for; "balanced" makes all classes count the same.
    standardize : bool, default=True
        Give every feature mean 0 and variance 1 in the training rows; features that are constant
        become 0.
    early_stopping : bool, default=False
        Hold some rows out, stratified, unless `fit` is given others; stop when their loss no longer falls, and keep the
        weights with which it was least.
    validation_fraction : float in (0, 1), default=0.1
        The share of the rows that is held out.
    n_iter_no_change : int, default=10
    tol : float, default=1e-4
        Training stops early after this many epochs in a row in which the loss of the rows held out did not become
        smaller by more than `tol` than it ever was.
    warm_start : bool, default=False
        Let `fit` go on from the weights and the scaling of the fit before; the optimizer begins anew.
    dtype : {"float64", "float32"}, default="float64"
        What the training and the predictions compute in.
    verbose : bool, default=False
        Print a line for each epoch.
    random_state : int, RandomState instance or None, default=None
        Draws the first weights of hidden layers and the rows that are held out, and shuffles the rows of each epoch.
        The same int gives the same model, to the last bit, on the same machine with the same build and BLAS threads.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (n_classes, n_features)
        Weights of the standardised features, so that they compare; without hidden layers.
    intercept_ : ndarray of shape (n_classes,)
        Without hidden layers. Both may be set.
    coefs_, intercepts_ : list of ndarray
        With hidden layers: the weights, (n_inputs, n_outputs), and the biases of each layer.
    mean_, scale_ : ndarray of shape (n_features,)
        What is subtracted from a feature, and what it is then divided by; 0 and 1 without
        `standardize`.
    history_ : list of dict
        For each epoch its number from 1, "epoch", and the "loss" and "accuracy" of its minibatches,
        each before its update; with validation data also "validation_loss" and
        "validation_accuracy" after the epoch.
    loss_curve_ : list of float
        The losses of `history_`.
    n_iter_ : int
        Epochs that were run.
    learning_rate_, l2_ : float
        What None stands for, where the parameters are None.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only if X had names of type str for all its columns.

    Examples
    --------
    >>> from sklearn.model_selection import train_test_split
    >>> from steelfast import SteelClassifier, load_steel_plates
    >>> X, y = load_steel_plates(source="twin", return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     X, y, test_size=0.2, stratify=y, random_state=0
    ... )
    >>> classifier = SteelClassifier(random_state=0).fit(X_train, y_train)
    >>> classifier.predict_proba(X_test).shape
    (389, 7)
    >>> classifier.score(X_test, y_test) > 0.65
    True
    """

    # what is metadata for scikit-learn's routing is asked for, but these are not
    __metadata_request__partial_fit: ClassVar = {"classes": True}
    __metadata_request__decision_function: ClassVar = {"check_input": UNUSED}
    __metadata_request__predict: ClassVar = {"check_input": UNUSED}
    __metadata_request__predict_proba: ClassVar = {"check_input": UNUSED}
    __metadata_request__predict_log_proba: ClassVar = {"check_input": UNUSED}

    classes_: Array
    _epochs: list[Epoch]
    _n_epochs: int
    _model: LinearModel | Network
    _shape: _Shape
    _progress: _Progress | None

    def __init__(
        self,
        loss: Loss = "softmax_cross_entropy",
        optimizer: OptimizerName = "adam",
        *,
        learning_rate: float | None = None,
        schedule: Schedule = "constant",
        batch_size: int = 128,
        max_epochs: int = 100,
        hidden_layer_sizes: Sequence[int] | int = (),
        activation: Activation = "relu",
        dropout: float = 0.0,
        l2: float | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        standardize: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        dtype: FloatName = "float64",
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.l2 = l2
        self.class_weight = class_weight
        self.standardize = standardize
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.dtype = dtype
        self.verbose = verbose
        self.random_state = random_state

    # ------------------------------------------------------------------------------ training

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Learn from rows of features and their classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Class labels: numbers or texts.
        sample_weight : array-like of shape (n_samples,), default=None
            What each row counts for.
        validation_data : tuple (X, y), default=None
            Rows held out: after each epoch their loss and accuracy go into `history_`. Nothing is
            learned from them but, with `early_stopping`, when to stop.
        callback : callable, default=None
            Called after each epoch with its record, as in `history_`; training ends when it returns
            True. What it sets on the estimator is gone after the fit.

        Returns
        -------
        self : SteelClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or an array is not what it should be, if a class has too few rows for some to be held out, or
            if the training diverges. The estimator is what it was before.
        """
        # a second self learns: whoever looks meanwhile, and a fit that fails, finds all as it was
        learner = self._second_self()
        learner._fit(X, y, sample_weight, validation_data, callback)
        self.__dict__ = learner.__dict__
        return self

    def _fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        validation_data: tuple[ArrayLike, ArrayLike] | None,
        callback: Callback | None,
    ) -> None:
        go_on = bool(self.warm_start) and self.__sklearn_is_fitted__()
        settings = self._settings()
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be callable, got {described(callback)}")
        rows, targets = self._checked(X, y, reset=not go_on)
        weights = _checked_weights(sample_weight, len(rows))
        classes, labels = _classes_of(targets)
        rng = _generator(self.random_state)
        held_out = None
        if settings.early_stopping is not None and validation_data is None:
            training, held_out = _split(labels, classes, settings.validation_fraction, int(rng.integers(1 << 32)))
            rows_out, labels_out = rows[held_out], labels[held_out]
            weights_out = None if weights is None else _scaled(weights[held_out])
            rows, labels = rows[training], labels[training]
            weights = None if weights is None else weights[training]
        weights = None if weights is None else _scaled(weights)

        if go_on:
            if not np.array_equal(classes, self.classes_):
                raise ValueError(
                    f"y must have the classes of the fit before for a warm start, {self.classes_.tolist()!r:.200}, "
                    f"got {classes.tolist()!r:.200}"
                )
            self._check_kept(settings.shape)
        else:
            self.classes_, self._shape = classes, settings.shape
            self._epochs, self._n_epochs = [], 0
        factors = self._class_factors(labels, weights)
        row_weights = self._row_weights(factors, labels, weights, "to train on")
        if go_on:
            model = copy.deepcopy(self._model)
        else:
            self._set_scaling(rows, weights)
            model = self._new_model(rng)
        validation: tuple[Any, ...] | None = None
        if validation_data is not None:
            validation = self._validation_data(validation_data)
        elif held_out is not None:
            of_held_out = self._row_weights(factors, labels_out, weights_out, "held out")
            validation = (self._standardized(rows_out), labels_out, of_held_out)
        progress = settings.begin(len(rows), rng.bit_generator)
        self._train(model, progress, settings, rows, labels, row_weights, validation, callback)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Go through these rows once, after what was learned before: for rows that come in parts.

        As many calls with the same rows as `max_epochs` make the model that `fit` makes of them, to the last bit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The first rows also give the features' means and scales, which then stay: take rows of all kinds, or
            standardise them yourself and set ``standardize=False``.
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come; needed in the first call, and then what it was.
        sample_weight : array-like of shape (n_samples,), default=None
            What each row counts for, among those of this call; so "balanced" classes are balanced within each call.

        Returns
        -------
        self : SteelClassifier

        Raises
        ------
        ValueError
            As `fit`; also if `classes` are missing or others than before, if y has others, or with `early_stopping`.
            The estimator is what it was before.

        Notes
        -----
        Schedules of the learning rate count on as many parts of the size of the first as `max_epochs`. The optimizer
        goes on as it was, and begins anew where it, its rate or the schedule have been set to something else, or where
        the model comes from a file.
        """
        learner = self._second_self()
        learner._partial_fit(X, y, classes, sample_weight)
        self.__dict__ = learner.__dict__
        return self

    def _partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None, sample_weight: ArrayLike | None
    ) -> None:
        first = not self.__sklearn_is_fitted__()
        settings = self._settings()
        if settings.early_stopping is not None:
            raise ValueError("partial_fit cannot stop early: early_stopping must be False, got True")
        if first and classes is None:
            raise ValueError("classes must be given in the first call of partial_fit")
        all_classes = None if classes is None else _checked_classes(classes)
        if not first and all_classes is not None and not np.array_equal(all_classes, self.classes_):
            raise ValueError(
                f"classes must stay those of the first call, {self.classes_.tolist()!r:.200}, "
                f"got {all_classes.tolist()!r:.200}"
            )
        rows, targets = self._checked(X, y, reset=first)
        weights = _checked_weights(sample_weight, len(rows))
        weights = None if weights is None else _scaled(weights)
        if all_classes is not None:
            self.classes_ = all_classes
        labels = self._labels_of(targets, "y")
        if first:
            self._shape = settings.shape
            self._epochs, self._n_epochs = [], 0
        row_weights = self._row_weights(self._class_factors(labels, weights), labels, weights, "of this call")
        if first:
            self._set_scaling(rows, weights)
            rng = _generator(self.random_state)
            model, progress = self._new_model(rng), settings.begin(len(rows), rng.bit_generator)
        else:
            self._check_kept(settings.shape)
            model = copy.deepcopy(self._model)
            if self._progress is None:
                progress = settings.begin(len(rows), _generator(self.random_state).bit_generator)
            else:
                progress = self._progress.copy()
                if progress.recipe != settings.recipe:
                    progress = settings.begin(len(rows), progress.bit_generator)
        self._train(model, progress, settings._replace(n_epochs=1), rows, labels, row_weights, None, None)

    def _second_self(self) -> Self:
        """Another estimator of the same attributes."""
        other = type(self).__new__(type(self))
        other.__dict__ = dict(vars(self))
        return other

    def _train(
        self,
        model: LinearModel | Network,
        progress: _Progress,
        settings: _Settings,
        rows: Array,
        labels: IntArray,
        row_weights: Array | None,
        validation_data: tuple[Any, ...] | None,
        callback: Callback | None,
    ) -> None:
        optimizer = progress.optimizer_of(model)
        new = train(
            model,
            self._standardized(rows),
            labels,
            head=settings.head,
            optimizer=optimizer,
            n_epochs=settings.n_epochs,
            batch_size=min(settings.batch_size, len(rows)),
            rng=progress,
            l2=settings.l2,
            row_weights=row_weights,
            validation_data=validation_data,
            early_stopping=settings.early_stopping,
            callback=self._reporting(callback),
            first_epoch=self._n_epochs + 1,
        )
        progress.remember(optimizer, model)
        self._model, self._progress = model, progress
        self.learning_rate_, self.l2_ = settings.rate, settings.l2
        # A list of all that came from the same first epochs, which copies share: what was seen of a training stays.
        # With a new one each time, a million calls of partial_fit would take an hour for this alone.
        before, self._n_epochs = self._n_epochs, self._n_epochs + len(new)
        self._epochs += new
        if self._epochs[before] is not new[0]:
            self._epochs = [*self._epochs[:before], *new]

    def _settings(self) -> _Settings:
        """The parameters, checked."""
        for name, choices in _CHOICES.items():
            as_choice(getattr(self, name), name, choices)
        head = HEADS[self.loss]
        hidden = as_sizes(self.hidden_layer_sizes)
        shape = _Shape(
            loss=head.name,
            standardize=as_flag(self.standardize, "standardize"),
            dtype=self.dtype,
            hidden_layer_sizes=hidden,
            activation=self.activation,
            dropout=as_number(self.dropout, "dropout", 0.0, 1.0, below=True),
        )
        as_flag(self.warm_start, "warm_start")
        if not isinstance(self.verbose, (int, np.integer, np.bool_)):  # others have numbers for it
            raise TypeError(f"verbose must be True, False or an integer, got {described(self.verbose)}")
        balanced = isinstance(self.class_weight, str) and self.class_weight == "balanced"
        if not (self.class_weight is None or balanced or isinstance(self.class_weight, Mapping)):
            raise ValueError(f"class_weight must be a dict, 'balanced' or None, got {described(self.class_weight)}")
        on_softmax = head.name == "softmax_cross_entropy"
        rate, l2 = self.learning_rate, self.l2
        if rate is None:
            rate = (_SOFTMAX_RATES if on_softmax else _SIGMOID_RATES)[bool(hidden)][self.optimizer]
        if l2 is None:
            l2 = (_SOFTMAX_L2 if on_softmax else _SIGMOID_L2)[bool(hidden)]
        stopping = EarlyStopping(
            as_count(self.n_iter_no_change, "n_iter_no_change", 1), as_number(self.tol, "tol", 0.0, np.inf, below=True)
        )
        fraction = as_number(self.validation_fraction, "validation_fraction", 0.0, 1.0, below=True)
        if fraction == 0:
            raise ValueError("validation_fraction must be above 0, got 0.0")
        return _Settings(
            head=head,
            optimizer=self.optimizer,
            rate=as_number(rate, "learning_rate", 0.0, np.inf, below=True),
            schedule=self.schedule,
            n_epochs=as_count(self.max_epochs, "max_epochs", 1),
            batch_size=as_count(self.batch_size, "batch_size", 1),
            shape=shape,
            l2=as_number(l2, "l2", 0.0, np.inf, below=True),
            early_stopping=stopping if as_flag(self.early_stopping, "early_stopping") else None,
            validation_fraction=fraction,
        )

    def _checked(self, X: ArrayLike, y: ArrayLike, *, reset: bool) -> tuple[Array, Array]:
        """Rows and targets as arrays, as scikit-learn wants them checked; what nothing can be wrong with fast."""
        if (
            type(X) is type(y) is np.ndarray
            and _kernels.is_plain_table(X)
            and len(X) > 0 < X.shape[1]
            and y.ndim == 1
            and len(y) == len(X)
            and y.dtype.kind in "biuU"
            and (reset or self._fits(X))
        ):
            if reset:
                self.n_features_in_ = X.shape[1]
                self.__dict__.pop("feature_names_in_", None)
            return X, y
        rows, targets = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C", reset=reset)
        check_classification_targets(targets)
        return rows, targets

    def _validated(self, X: ArrayLike) -> Array:
        """Rows to predict, as scikit-learn wants them checked."""
        rows: Array = validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=False)
        return rows

    def _fits(self, X: Array) -> bool:
        return X.shape[1] == self.n_features_in_ and "feature_names_in_" not in vars(self)

    def _set_scaling(self, X: Array, weights: Array | None) -> None:
        if not self.standardize:
            self.mean_, self.scale_ = np.zeros(X.shape[1]), np.ones(X.shape[1])
            return
        self.mean_, self.scale_ = scaling_of(X.astype(np.float64, copy=False), weights)
        large = ~(np.isfinite(self.mean_) & np.isfinite(self.scale_))
        if large.any():
            self._check_finite(X)
            k = int(large.argmax())
            raise ValueError(f"X is too large to be standardised: feature {k} reaches {np.abs(X[:, k]).max():.2g}")

    def _check_finite(self, X: Array) -> None:
        """What came of X is not finite: say so if X is not either, whether or not scikit-learn was to look."""
        with config_context(assume_finite=False):
            assert_all_finite(X, estimator_name=type(self).__name__, input_name="X")

    @property
    def _scaling(self) -> Scaling | None:
        return (self.mean_, self.scale_) if self._shape.standardize else None

    def _standardized(self, X: Array) -> Array:
        with np.errstate(over="ignore"):  # what is too large for the dtype is found when it is computed with
            return standardized(X, self._scaling, self._shape.dtype)

    def _new_model(self, rng: np.random.Generator) -> LinearModel | Network:
        n_features, n_classes, shape = self.n_features_in_, len(self.classes_), self._shape
        if not shape.hidden_layer_sizes:
            return LinearModel(np.zeros((n_features, n_classes), shape.dtype), np.zeros(n_classes, shape.dtype))
        return Network(
            n_features,
            shape.hidden_layer_sizes,
            n_classes,
            activation=shape.activation,
            dropout=shape.dropout,
            rng=rng,
            dtype=shape.dtype,
        )

    def _check_kept(self, wanted: _Shape) -> None:
        """What decides what the model is must not have been set anew."""
        of_layers = ("activation", "dropout")  # of which there may be none
        for name, kept in self._shape._asdict().items():
            value = getattr(wanted, name)
            if value != kept and (self._shape.hidden_layer_sizes or name not in of_layers):
                raise ValueError(f"{name} must stay {kept!r} to go on from the fit before, got {value!r}")

    def _labels_of(self, targets: Array, name: str) -> IntArray:
        """The number of each target's class."""
        if targets.dtype == self.classes_.dtype != object and self.classes_.size:
            labels = np.searchsorted(self.classes_, targets)
            if (self.classes_.take(labels, mode="clip") == targets).all():
                return labels
        unknown = np.setdiff1d(targets, self.classes_)
        if unknown.size:
            raise ValueError(
                f"{name} has the class {unknown.tolist()[0]!r}, which is none of {self.classes_.tolist()!r:.200}"
            )
        return np.searchsorted(self.classes_, targets)

    def _class_factors(self, labels: IntArray, weights: Array | None) -> Array | None:
        """What the rows of each class count for; None if all the same."""
        if self.class_weight is None:
            return None
        n_classes = len(self.classes_)
        if isinstance(self.class_weight, str):  # "balanced"
            totals = np.bincount(labels, weights, n_classes)
            # 0 for a class whose rows weigh nothing, or so little that there is no number for the inverse
            return np.divide(1.0, totals, out=np.zeros(n_classes), where=totals >= np.finfo(float).tiny)
        factors = compute_class_weight(dict(self.class_weight), classes=self.classes_, y=self.classes_)
        return as_weights(factors, "class_weight", (n_classes,), np.dtype(float))

    def _row_weights(self, factors: Array | None, labels: IntArray, weights: Array | None, which: str) -> Array | None:
        """Scaled weights of the rows times those of their classes, with a mean of 1; None if all are 1."""
        given = {"sample_weight": weights, "class_weight": None if factors is None else _scaled(factors[labels])}
        parts = {name: part for name, part in given.items() if part is not None}
        if not parts:
            return None
        product = np.ones(len(labels))
        for part in parts.values():
            product *= part
        if not product.any():
            names = " and ".join(parts)
            raise ValueError(
                f"{names} {'leave' if len(parts) > 1 else 'leaves'} all rows {which} with a weight of zero"
            )
        row_weights: Array = (product / product.mean()).astype(self._shape.dtype)
        return row_weights

    def _validation_data(self, data: tuple[ArrayLike, ArrayLike]) -> tuple[Array, IntArray]:
        try:
            X, y = data
        except (TypeError, ValueError):
            raise ValueError(f"validation_data must be a pair (X, y), got {described(data)}") from None
        try:
            rows, targets = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C", reset=False)
        except ValueError as error:
            raise ValueError(f"validation_data cannot be used: {error}") from error
        return self._standardized(rows), self._labels_of(targets, "validation_data")

    def _reporting(self, callback: Callback | None) -> Callback | None:
        if not self.verbose:
            return callback

        def report(epoch: Epoch) -> bool | None:
            figures = (f"{name}={value:.4f}" for name, value in epoch.items() if name != "epoch")
            print(f"Epoch {epoch['epoch']}: {', '.join(figures)}")
            return None if callback is None else callback(epoch)

        return report

    # ------------------------------------------------------------------------------ what was learned

    def __sklearn_is_fitted__(self) -> bool:
        return "_model" in vars(self)

    @property
    def history_(self) -> list[Epoch]:
        check_is_fitted(self)
        return self._epochs[: self._n_epochs]

    @property
    def loss_curve_(self) -> list[float]:
        return [epoch["loss"] for epoch in self.history_]

    @property
    def n_iter_(self) -> int:
        check_is_fitted(self)
        return self._n_epochs

    @property
    def coef_(self) -> Array:
        return self._linear.weights.T

    @coef_.setter
    def coef_(self, coef: ArrayLike) -> None:
        weights = self._linear.weights
        weights[...] = as_finite(coef, "coef_", weights.T.shape, weights.dtype).T

    @property
    def intercept_(self) -> Array:
        return self._linear.bias

    @intercept_.setter
    def intercept_(self, intercept: ArrayLike) -> None:
        bias = self._linear.bias
        bias[...] = as_finite(intercept, "intercept_", bias.shape, bias.dtype)

    @property
    def coefs_(self) -> list[Array]:
        return self._network.weights

    @property
    def intercepts_(self) -> list[Array]:
        return self._network.biases

    @property
    def _linear(self) -> LinearModel:
        model = vars(self).get("_model")
        if isinstance(model, LinearModel):
            return model
        raise AttributeError("coef_ and intercept_ are those of a fitted classifier without hidden layers")

    @property
    def _network(self) -> Network:
        model = vars(self).get("_model")
        if isinstance(model, Network):
            return model
        raise AttributeError("coefs_ and intercepts_ are those of a fitted classifier with hidden layers")

    # ------------------------------------------------------------------------------ prediction

    def decision_function(self, X: ArrayLike, *, check_input: bool = True) -> Array:
        """Scores of the classes: the larger, the likelier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        check_input : bool, default=True
            Whether to look for what is wrong with X; if not, it must be a C-contiguous array of float32 or float64.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes), or (n_samples,) with two classes
            The logits, ``(X - mean_) / scale_ @ coef_.T + intercept_``; with two classes the
            log-odds of `classes_[1]`.
        """
        fitted = self._as_it_is()
        logits = fitted._logits(fitted._rows(X, check_input), check_input)
        if len(fitted.classes_) != 2:
            return logits
        scores = fitted._head.scores(logits)
        log_odds: Array = scores[:, 1] - scores[:, 0]
        return log_odds

    def predict(self, X: ArrayLike, *, check_input: bool = True) -> Array:
        """The likeliest class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        check_input : bool, default=True
            Whether to look for what is wrong with X; if not, it must be a C-contiguous array of float32 or float64.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        fitted = self._as_it_is()
        rows = fitted._rows(X, check_input)
        if len(rows) <= _ROWS_AT_ONCE:
            return fitted._likeliest(fitted._logits(rows, check_input))
        predicted = np.empty(len(rows), fitted.classes_.dtype)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            predicted[part] = fitted._likeliest(fitted._logits(rows[part], check_input))
        return predicted

    def _likeliest(self, logits: Array) -> Array:
        few = logits.shape[1] <= _MOST_CLASSES
        classes: Array = self.classes_[_kernels.first_maxima(logits) if few else logits.argmax(axis=1)]
        return classes

    def predict_proba(self, X: ArrayLike, *, check_input: bool = True) -> Array:
        """The probability of each class, in the order of `classes_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        check_input : bool, default=True
            Whether to look for what is wrong with X; if not, it must be a C-contiguous array of float32 or float64.

        Returns
        -------
        probs : ndarray of shape (n_samples, n_classes)
        """
        fitted = self._as_it_is()
        logits = fitted._logits(fitted._rows(X, check_input), check_input)
        return fitted._head.probabilities(logits, in_place=True)

    def predict_log_proba(self, X: ArrayLike, *, check_input: bool = True) -> Array:
        """The logarithms of the probabilities, finite where these are too small to tell from 0.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        check_input : bool, default=True
            Whether to look for what is wrong with X; if not, it must be a C-contiguous array of float32 or float64.

        Returns
        -------
        log_probs : ndarray of shape (n_samples, n_classes)
        """
        fitted = self._as_it_is()
        logits = fitted._logits(fitted._rows(X, check_input), check_input)
        return fitted._head.log_probabilities(logits, in_place=True)

    def _as_it_is(self) -> Self:
        """The estimator of this moment: a fit in another thread gives `self` other attributes, all at once, not it."""
        seen = type(self).__new__(type(self))
        seen.__dict__ = self.__dict__
        return seen

    @property
    def _head(self) -> Head:
        return HEADS[self._shape.loss]

    def _rows(self, X: ArrayLike, check_input: bool) -> Array:
        """Rows to predict; of a linear model the logits tell whether all is finite, so that a table is read once."""
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)
        finite = not isinstance(self._model, LinearModel)
        if check_input and not (
            type(X) is np.ndarray and len(X) and _kernels.is_plain_table(X, finite=finite) and self._fits(X)
        ):
            return self._validated(X)
        return X  # type: ignore[return-value]

    def _logits(self, rows: Array, check_input: bool) -> Array:
        logits: Array
        if check_input and not isinstance(self._model, LinearModel):
            with np.errstate(over="ignore", invalid="ignore"):  # it takes 1 µs, and what is too large is named below
                logits = self._model.logits(rows, self._scaling)
        else:
            logits = self._model.logits(rows, self._scaling)
        if check_input and not _kernels.is_plain_table(logits):
            self._check_finite(rows)
            if not all(np.isfinite(each).all() for each in (*self._model.parameters, self.mean_, self.scale_)):
                raise ValueError("the model has numbers that are not finite: its weights, mean_ or scale_ were changed")
            raise ValueError(f"X is too large for a model of {logits.dtype}: it reaches {np.abs(rows).max():.2g}")
        return logits

    # ------------------------------------------------------------------------------ files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a file, whole or not at all.

        Parameters
        ----------
        path : str or path-like
            By convention with the ending ``.npz``; an existing file is replaced.

        Raises
        ------
        OSError
            If the file cannot be written.
        TypeError, ValueError
            If `load` could not make the same model of it: with classes that are neither numbers nor texts, say, or with
            weights that are not finite.

        Notes
        -----
        An archive of NumPy arrays without pickled objects: to load one runs no code of the file's. A `random_state`
        that is a generator is not kept.

        Examples
        --------
        >>> import os, tempfile
        >>> from steelfast import SteelClassifier
        >>> classifier = SteelClassifier().fit([[0.0], [1.0]], ["good", "bad"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     classifier.save(os.path.join(folder, "model.npz"))
        ...     loaded = SteelClassifier.load(os.path.join(folder, "model.npz"))
        >>> loaded.predict([[1.0]])
        array(['bad'], dtype='<U4')
        """
        fitted = self._as_it_is()
        check_is_fitted(fitted)
        fitted._settings()  # or the file could not be read
        arrays = _packed(fitted)
        try:
            _check_labels(_unpacked(type(self), arrays, seed=0), fitted)
        except (TypeError, ValueError) as error:
            raise ValueError(f"this model cannot be written to a file: {error}") from error
        buffer = BytesIO()
        np.savez(buffer, **arrays)
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        classifier : SteelClassifier
            It predicts what the saved one did, to the last bit.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is no such model, or not a whole one.
        """
        content = Path(path).read_bytes()
        try:
            with NpzFile(BytesIO(content), allow_pickle=False) as archive:
                _check_members(archive)
                classifier: Self = _unpacked(cls, dict(archive))
        except Exception as error:  # there is no end to the ways in which an archive can be broken
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise ValueError(f"{path} is no model of SteelClassifier, or damaged: {reason}") from error
        return classifier


def _generator(random_state: int | np.random.RandomState | None) -> np.random.Generator:
    """A generator of our own: of an int the one of that seed, and else one that scikit-learn's generator seeds."""
    if isinstance(random_state, (int, np.integer)):
        return np.random.default_rng(as_count(random_state, "random_state", 0))
    return np.random.default_rng(check_random_state(random_state).randint(1 << 32, size=4, dtype=np.uint32))


def _classes_of(targets: Array) -> tuple[Array, IntArray]:
    """The classes in order, and the number of each target's; without a sort for whole numbers close together."""
    if targets.dtype == np.int64:
        low, high = int(np.minimum.reduce(targets)), int(np.maximum.reduce(targets))
        if high - low < len(targets):
            # in any case a copy: the caller may change the targets while the kernels read the labels; of intp, as
            # bincount and unique have it, of 32 bits too
            labels = (targets - low).astype(np.intp, copy=False)
            counts = np.bincount(labels)
            if counts.all():
                return np.arange(high - low + 1, dtype=np.int64) + low, labels
            labels = (np.cumsum(counts > 0) - 1)[labels]
            return np.flatnonzero(counts).astype(np.int64, copy=False) + low, labels
    return np.unique(targets, return_inverse=True)


def _checked_classes(classes: ArrayLike) -> Array:
    """The classes in order, each once."""
    array = as_array(classes, "classes")
    if array.ndim != 1:
        raise ValueError(f"classes must be a list or an array of labels, got {described(classes)}")
    if (array != array).any():
        raise ValueError("classes must be numbers or texts, got NaN")
    return np.unique(array)


def _split(labels: IntArray, classes: Array, fraction: float, seed: int) -> list[IntArray]:
    """The rows to train on, and those that are held out, of each class this share."""
    try:
        split: list[IntArray] = train_test_split(
            np.arange(len(labels)), test_size=fraction, stratify=labels, random_state=seed
        )
    except ValueError as error:
        counts = np.bincount(labels)
        if counts.min() == 1:
            alone = classes.tolist()[counts.argmin()]
            message = f"early_stopping must hold out rows of each class, but y has a single row of the class {alone!r}"
        else:
            message = (
                f"validation_fraction must leave rows of all {len(classes)} classes to train on and to hold out, "
                f"got {fraction:g} of {len(labels)} rows"
            )
        raise ValueError(message) from error
    return split


def _scaled(weights: Array) -> Array:
    """The weights scaled to 0 … 1, exactly, or a product or a sum of them may leave the numbers that there are."""
    scaled: Array = np.ldexp(weights, -np.frexp(weights.max())[1])
    return scaled


def _checked_weights(sample_weight: ArrayLike | None, n_samples: int) -> Array | None:
    if sample_weight is None:
        return None
    if isinstance(sample_weight, (int, float, np.number)):
        sample_weight = np.full(n_samples, float(sample_weight))
    weights = as_weights(sample_weight, "sample_weight", (n_samples,), np.dtype(float))
    if not weights.any():
        raise ValueError("sample_weight is zero in all rows, wanted at least one with a weight")
    return weights


def _check_members(archive: NpzFile) -> None:
    """What `save` writes is not compressed, so that what is read is no larger than the file."""
    members = archive.zip.infolist() if archive.zip else []
    names = [member.filename.removesuffix(".npy") for member in members]
    if any(member.compress_type != ZIP_STORED for member in members):
        raise ValueError("its arrays are compressed")
    if len(set(names)) < len(names) or not set(names) <= _MEMBERS:
        raise ValueError(f"it has other arrays: {', '.join(sorted(names))!r:.200}")


def _packed(classifier: SteelClassifier) -> dict[str, Any]:
    """All that makes a fitted model, as arrays of numbers and texts; what was set after the fit is not of it."""
    parameters = classifier.get_params() | classifier._shape._asdict()
    if isinstance(classifier.hidden_layer_sizes, (int, np.integer)) and len(classifier._shape.hidden_layer_sizes) == 1:
        parameters["hidden_layer_sizes"] = classifier._shape.hidden_layer_sizes[0]
    if isinstance(classifier.class_weight, Mapping):
        # as pairs: the keys of an object in JSON are texts
        parameters["class_weight"] = [[each, float(weight)] for each, weight in classifier.class_weight.items()]
    if isinstance(classifier.random_state, np.random.RandomState):
        parameters["random_state"] = None
    about = {
        "format": _FORMAT,
        "version": _FORMAT_VERSION,
        "parameters": parameters,
        "learning_rate": classifier.learning_rate_,
        "l2": classifier.l2_,
        "history": classifier.history_,
        "classes_are_objects": classifier.classes_.dtype == object,
    }
    classes = classifier.classes_
    arrays = {
        "about": np.frombuffer(json.dumps(about, default=_as_plain).encode(), np.uint8),
        "classes_": np.array(classes.tolist()) if classes.dtype == object else classes,
        **{name: np.asarray(getattr(classifier, name)) for name in _SCALING},
    }
    if isinstance(classifier._model, Network):
        arrays["parameters"] = np.concatenate([each.ravel() for each in _by_units(classifier._model)])
    else:
        arrays |= {"coef_": classifier.coef_, "intercept_": classifier.intercept_}
    if hasattr(classifier, "feature_names_in_"):
        arrays["feature_names_in_"] = classifier.feature_names_in_.astype(str)
    return arrays


def _by_units(network: Network) -> list[Array]:
    """The parameters in the order of a file: weights, (n_units, n_inputs), and then biases; views of them."""
    return [*(weights.T for weights in network.weights), *network.biases]


def _as_plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a model with a parameter {described(value)} cannot be written to a file")


def _check_labels(unpacked: SteelClassifier, classifier: SteelClassifier) -> None:
    """What are Python objects must come back as they were: a 1 neither as True nor as "1", and no text shorter."""
    for name in ("classes_", "feature_names_in_"):
        for came, wanted in zip(vars(unpacked).get(name, ()), vars(classifier).get(name, ()), strict=True):
            if came != wanted or str(came) != str(wanted):
                raise ValueError(f"{name} has {described(wanted)}, which would come back as {described(came)}")


def _unpacked(cls: type[Any], arrays: dict[str, Array], seed: int | None = None) -> Any:
    """The model of these arrays; of a seed nothing is drawn from NumPy's own generator, where no other is kept."""
    about = json.loads(arrays["about"].tobytes())
    if (about["format"], about["version"]) != (_FORMAT, _FORMAT_VERSION):
        raise ValueError(f"format {about['format']} {about['version']}, wanted {_FORMAT} {_FORMAT_VERSION}")
    parameters = about["parameters"]
    if isinstance(parameters["hidden_layer_sizes"], list):
        parameters["hidden_layer_sizes"] = tuple(parameters["hidden_layer_sizes"])
    if isinstance(parameters["class_weight"], list):
        parameters["class_weight"] = dict(parameters["class_weight"])
    classifier = cls(**parameters)
    shape = classifier._settings().shape
    classifier._shape = shape
    classifier.learning_rate_ = as_number(about["learning_rate"], "learning_rate", 0.0, np.inf, below=True)
    classifier.l2_ = as_number(about["l2"], "l2", 0.0, np.inf, below=True)

    classes = arrays["classes_"].astype(object) if about["classes_are_objects"] else arrays["classes_"]
    if classes.ndim != 1 or not len(classes) or arrays["classes_"].dtype.kind not in "biufU":
        raise ValueError(f"classes_ is {described(classes)}, wanted one label at least, numbers or texts")
    if not np.array_equal(np.unique(classes), classes):
        raise ValueError("classes_ are not in order, or not all different")
    [n_features], n_classes = arrays["mean_"].shape, len(classes)
    classifier.classes_, classifier.n_features_in_ = classes, n_features
    for name in _SCALING:
        setattr(classifier, name, _checked_numbers(arrays[name], name, (n_features,), np.float64))
    if not (classifier.scale_ > 0).all():
        raise ValueError("scale_ has numbers that are not positive")
    if "feature_names_in_" in arrays:
        names = arrays["feature_names_in_"]
        if names.shape != (n_features,) or names.dtype.kind != "U" or len(set(names.tolist())) < n_features:
            raise ValueError(f"feature_names_in_ is {described(names)}, wanted {n_features} different texts")
        classifier.feature_names_in_ = names.astype(object)
    if shape.hidden_layer_sizes:
        n = n_parameters(n_features, shape.hidden_layer_sizes, n_classes)
        numbers = _checked_numbers(arrays["parameters"], "parameters", (n,), shape.dtype)
        random_state = seed if classifier.random_state is None else classifier.random_state
        classifier._model = classifier._new_model(_generator(random_state))
        for each in _by_units(classifier._model):
            each[...], numbers = numbers[: each.size].reshape(each.shape), numbers[each.size :]
    else:
        coef = _checked_numbers(arrays["coef_"], "coef_", (n_classes, n_features), shape.dtype)
        intercept = _checked_numbers(arrays["intercept_"], "intercept_", (n_classes,), shape.dtype)
        classifier._model = LinearModel(coef.T, intercept)
    classifier._progress = None
    history = about["history"]
    if not isinstance(history, list) or any(not {"epoch", "loss"} <= set(epoch) for epoch in history):
        raise ValueError("history is no list of epochs")
    classifier._epochs, classifier._n_epochs = history, len(history)
    return classifier


def _checked_numbers(array: Array, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, wanted {shape}")
    if array.dtype != dtype:
        raise ValueError(f"{name} has dtype {array.dtype}, wanted {np.dtype(dtype)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has numbers that are not finite")
    return array
