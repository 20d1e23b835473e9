"""A classifier of steel-plate faults, or of anything else, as a scikit-learn estimator.

The training is `trainer`'s; here are scaling, weights of rows and classes, the checks that
scikit-learn asks for, and models as files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import ArrayLike, NDArray

from steelfast._arguments import as_index, as_number, as_weights
from steelfast._files import written_whole
from steelfast.heads import HEADS, Head, IntArray
from steelfast.models import LinearModel
from steelfast.optimizers import SGD, Adam, Momentum, Optimizer, RMSProp
from steelfast.trainer import Epoch, train

try:
    from sklearn.base import BaseEstimator, ClassifierMixin  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]
    from sklearn.utils import check_random_state, compute_class_weight  # type: ignore[import-untyped]
    from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]
    from sklearn.utils.validation import check_is_fitted, validate_data  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    raise ImportError(f'SteelClassifier needs scikit-learn: pip install "steelfast[sklearn]" ({error})') from error

__all__ = ["SteelClassifier"]

Array = NDArray[Any]
Loss = Literal["softmax_cross_entropy", "sigmoid_mse", "sigmoid_cross_entropy"]
OptimizerName = Literal["sgd", "momentum", "rmsprop", "adam"]
FloatName = Literal["float64", "float32"]

_OPTIMIZERS: Mapping[str, Callable[[float], Optimizer]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "rmsprop": RMSProp,
    "adam": Adam,
}
# the best of a few in ten-fold cross-validation on the plates; the losses of the sigmoid are means
# over the classes, and flatter
_SOFTMAX_RATES = {"sgd": 0.2, "momentum": 0.02, "rmsprop": 0.003, "adam": 0.01}
_SIGMOID_RATES = {"sgd": 2.0, "momentum": 0.2, "rmsprop": 0.01, "adam": 0.02}

# on the plates ten-fold log-loss falls from 0.87 to 0.79 with it at the same accuracy; the sigmoids lose by any
_SOFTMAX_L2 = 0.003

_FORMAT = "steelfast.SteelClassifier"
_FORMAT_VERSION = 2
_NUMBERS = ("coef_", "intercept_", "mean_", "scale_")


class SteelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Linear classifier on standardised features, trained in minibatches by our kernels.

    Parameters
    ----------
    loss : {"softmax_cross_entropy", "sigmoid_mse", "sigmoid_cross_entropy"}, \
            default="softmax_cross_entropy"
        What is minimised. The softmax makes one distribution over the classes; the sigmoids judge
        each class by itself, and their probabilities are scaled to sum to 1.
    optimizer : {"sgd", "momentum", "rmsprop", "adam"}, default="adam"
        How the weights follow the gradient, see `steelfast.optimizers`.
    learning_rate : float, default=None
        None stands for a rate that suits the optimizer and the loss: 0.01 for the default ones.
    batch_size : int, default=128
        Rows in a minibatch; with fewer rows than that, all of them.
    max_epochs : int, default=100
        How often the training goes through all rows.
    l2 : float, default=None
        Strength of the penalty l2/2 · Σ coef². None stands for 0.003 for the softmax, 0 for the sigmoids. The recorded
        losses are without it.
    class_weight : dict or "balanced", default=None
        What the rows of each class count for; "balanced" makes all classes count the same.
    standardize : bool, default=True
        Give every feature mean 0 and variance 1 in the training rows; features that are constant
        become 0.
    dtype : {"float64", "float32"}, default="float64"
        What the training and the predictions compute in.
    verbose : bool, default=False
        Print a line for each epoch.
    random_state : int, RandomState instance or None, default=None
        Shuffles the rows of each epoch. The same int gives the same model, to the last bit.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (n_classes, n_features)
        Weights of the standardised features, so that they compare.
    intercept_ : ndarray of shape (n_classes,)
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

    def __init__(
        self,
        loss: Loss = "softmax_cross_entropy",
        optimizer: OptimizerName = "adam",
        *,
        learning_rate: float | None = None,
        batch_size: int = 128,
        max_epochs: int = 100,
        l2: float | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        standardize: bool = True,
        dtype: FloatName = "float64",
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.l2 = l2
        self.class_weight = class_weight
        self.standardize = standardize
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
        callback: Callable[[Epoch], bool | None] | None = None,
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
            learned from them.
        callback : callable, default=None
            Called after each epoch with its record, as in `history_`; training ends when it returns
            True.

        Returns
        -------
        self : SteelClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or an array is not what it should be, or if the training diverges.
        """
        rows, targets = validate_data(self, X, y, dtype=np.float64, order="C")
        check_classification_targets(targets)
        head, optimizer, n_epochs, batch_size, l2 = self._settings()
        classes, labels = np.unique(targets, return_inverse=True)
        weights = None if sample_weight is None else _checked_weights(sample_weight, len(rows))
        mean, scale = self._scaling(rows, weights)
        weights = self._row_weights(classes, targets, labels, weights)
        model = LinearModel(np.zeros((rows.shape[1], len(classes)), self.dtype), np.zeros(len(classes), self.dtype))

        history = train(
            model,
            _standardized(rows, mean, scale, self.dtype),
            labels,
            head=head,
            optimizer=optimizer,
            n_epochs=n_epochs,
            batch_size=min(batch_size, len(rows)),
            rng=check_random_state(self.random_state),
            l2=l2,
            row_weights=weights,
            validation_data=self._validation_data(validation_data, classes, mean, scale),
            callback=self._reporting(callback),
        )

        self.learning_rate_, self.l2_ = optimizer.learning_rate, l2
        self.classes_ = classes
        self.coef_ = np.ascontiguousarray(model.weights.T)
        self.intercept_ = model.bias.copy()
        self.mean_, self.scale_ = mean, scale
        self._record(history)
        return self

    def _record(self, history: list[Epoch]) -> None:
        self.history_ = history
        self.loss_curve_ = [epoch["loss"] for epoch in history]
        self.n_iter_ = len(history)

    def _settings(self) -> tuple[Head, Optimizer, int, int, float]:
        """The parameters, checked."""
        head = HEADS[_one_of(self.loss, "loss", Loss)]
        make = _OPTIMIZERS[_one_of(self.optimizer, "optimizer", OptimizerName)]
        _one_of(self.dtype, "dtype", FloatName)
        on_softmax = head.name == "softmax_cross_entropy"
        rate, l2 = self.learning_rate, self.l2
        if rate is None:
            rate = (_SOFTMAX_RATES if on_softmax else _SIGMOID_RATES)[self.optimizer]
        if l2 is None:
            l2 = _SOFTMAX_L2 if on_softmax else 0.0
        return (
            head,
            make(rate),
            _at_least_one(self.max_epochs, "max_epochs"),
            _at_least_one(self.batch_size, "batch_size"),
            as_number(l2, "l2", 0.0, np.inf, below=True),
        )

    def _scaling(self, X: Array, weights: Array | None) -> tuple[Array, Array]:
        if not self.standardize:
            return np.zeros(X.shape[1]), np.ones(X.shape[1])
        scaler = StandardScaler().fit(X, sample_weight=weights)
        return scaler.mean_, scaler.scale_

    def _row_weights(self, classes: Array, y: Array, labels: IntArray, weights: Array | None) -> Array | None:
        """Weights of the rows times those of their classes, scaled to mean 1; None if all are 1."""
        if self.class_weight is not None:
            if isinstance(self.class_weight, str) and self.class_weight == "balanced":
                totals = np.bincount(labels, weights)  # 0 for a class whose rows all weigh 0
                of_class = np.divide(1.0, totals, out=np.zeros(len(classes)), where=totals > 0)
            else:
                of_class = compute_class_weight(self.class_weight, classes=classes, y=y)
            of_row = as_weights(of_class, "class_weight", (len(classes),), np.dtype(float))[labels]
            weights = of_row if weights is None else weights * of_row
        if weights is None:
            return None
        if not weights.any():
            raise ValueError("class_weight leaves all rows with a weight of zero")
        row_weights: Array = (weights / weights.mean()).astype(self.dtype)
        return row_weights

    def _validation_data(
        self, data: tuple[ArrayLike, ArrayLike] | None, classes: Array, mean: Array, scale: Array
    ) -> tuple[Array, IntArray] | None:
        if data is None:
            return None
        rows, targets = validate_data(self, *data, dtype=np.float64, order="C", reset=False)
        unknown = np.setdiff1d(targets, classes)
        if unknown.size:
            raise ValueError(f"validation_data has the class {unknown.tolist()[0]!r}, which y has not")
        return _standardized(rows, mean, scale, self.dtype), np.searchsorted(classes, targets)

    def _reporting(self, callback: Callable[[Epoch], bool | None] | None) -> Callable[[Epoch], bool | None] | None:
        if not self.verbose:
            return callback

        def report(epoch: Epoch) -> bool | None:
            figures = (f"{name}={value:.4f}" for name, value in epoch.items() if name != "epoch")
            print(f"Epoch {epoch['epoch']}: {', '.join(figures)}")
            return None if callback is None else callback(epoch)

        return report

    # ------------------------------------------------------------------------------ prediction

    def decision_function(self, X: ArrayLike) -> Array:
        """Scores of the classes: the larger, the likelier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes), or (n_samples,) with two classes
            The logits, ``(X - mean_) / scale_ @ coef_.T + intercept_``; with two classes the
            log-odds of `classes_[1]`.
        """
        logits = self._logits(X)
        if len(self.classes_) != 2:
            return logits
        scores = HEADS[self.loss].scores(logits)
        log_odds: Array = scores[:, 1] - scores[:, 0]
        return log_odds

    def predict(self, X: ArrayLike) -> Array:
        """The likeliest class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        logits = self._logits(X)
        predicted: Array = self.classes_[logits.argmax(axis=1)]
        return predicted

    def predict_proba(self, X: ArrayLike) -> Array:
        """The probability of each class, in the order of `classes_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        probs : ndarray of shape (n_samples, n_classes)
        """
        logits = self._logits(X)
        return HEADS[self.loss].probabilities(logits)

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """The logarithms of the probabilities, finite where these are too small to tell from 0.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_probs : ndarray of shape (n_samples, n_classes)
        """
        logits = self._logits(X)
        return HEADS[self.loss].log_probabilities(logits)

    def _logits(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        standardized = _standardized(rows, self.mean_, self.scale_, self.coef_.dtype)
        return LinearModel(self.coef_.T, self.intercept_).logits(standardized)

    # ------------------------------------------------------------------------------ files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a file, whole or not at all.

        Parameters
        ----------
        path : str or path-like
            By convention with the ending ``.npz``; an existing file is replaced.

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
        check_is_fitted(self)
        buffer = BytesIO()
        np.savez(buffer, **_packed(self))
        path = Path(path)
        with written_whole(path.parent) as folder:
            (folder / path.name).write_bytes(buffer.getvalue())

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
                classifier: Self = _unpacked(cls, dict(archive))
        except Exception as error:  # there is no end to the ways in which an archive can be broken
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise ValueError(f"{path} is no model of SteelClassifier, or damaged: {reason}") from error
        return classifier


def _standardized(X: Array, mean: Array, scale: Array, dtype: Any) -> Array:
    standardized: Array = ((X - mean) / scale).astype(dtype)
    return standardized


def _one_of(value: object, name: str, choices: Any) -> str:
    names: tuple[str, ...] = get_args(choices)
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, names))}, got {value!r:.60}")
    return value


def _at_least_one(value: object, name: str) -> int:
    number = as_index(value, name)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")
    return number


def _checked_weights(sample_weight: ArrayLike, n_samples: int) -> Array:
    weights = as_weights(sample_weight, "sample_weight", (n_samples,), np.dtype(float))
    if not weights.any():
        raise ValueError("sample_weight is zero in all rows, wanted at least one with a weight")
    return weights


def _packed(classifier: SteelClassifier) -> dict[str, Any]:
    """All that makes a fitted model, as arrays of numbers and texts."""
    parameters = classifier.get_params()
    if isinstance(classifier.class_weight, Mapping):
        # as pairs: the keys of an object in JSON are texts
        parameters["class_weight"] = list(classifier.class_weight.items())
    if isinstance(classifier.random_state, np.random.RandomState):
        parameters["random_state"] = None
    about = {
        "format": _FORMAT,
        "version": _FORMAT_VERSION,
        "parameters": parameters,
        "history": classifier.history_,
        "classes_are_objects": classifier.classes_.dtype == object,
    }
    classes = classifier.classes_
    arrays = {
        "about": np.frombuffer(json.dumps(about, default=lambda scalar: scalar.item()).encode(), np.uint8),
        "classes_": classes.astype(str) if classes.dtype == object else classes,
        **{name: getattr(classifier, name) for name in _NUMBERS},
    }
    if hasattr(classifier, "feature_names_in_"):
        arrays["feature_names_in_"] = classifier.feature_names_in_.astype(str)
    return arrays


def _unpacked(cls: type[Any], arrays: dict[str, Array]) -> Any:
    about = json.loads(arrays["about"].tobytes())
    if (about["format"], about["version"]) != (_FORMAT, _FORMAT_VERSION):
        raise ValueError(f"format {about['format']} {about['version']}, wanted {_FORMAT} {_FORMAT_VERSION}")
    parameters = about["parameters"]
    if isinstance(parameters["class_weight"], list):
        parameters["class_weight"] = dict(parameters["class_weight"])
    classifier = cls(**parameters)
    _, optimizer, _, _, l2 = classifier._settings()
    classifier.learning_rate_, classifier.l2_ = optimizer.learning_rate, l2

    n_classes, n_features = arrays["coef_"].shape
    classifier.n_features_in_ = n_features
    shapes = {
        "coef_": (n_classes, n_features),
        "intercept_": (n_classes,),
        "mean_": (n_features,),
        "scale_": (n_features,),
        "classes_": (n_classes,),
    }
    if "feature_names_in_" in arrays:
        shapes["feature_names_in_"] = (n_features,)
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, wanted {shape}")
        if name in _NUMBERS:
            _one_of(array.dtype.name, f"dtype of {name}", FloatName)
            if not np.isfinite(array).all():
                raise ValueError(f"{name} has numbers that are not finite")
        elif name == "feature_names_in_" or about["classes_are_objects"]:
            array = array.astype(object)
        setattr(classifier, name, array)
    classifier._record(about["history"])
    return classifier
