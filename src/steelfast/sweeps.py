"""Searches for the best settings of a classifier: scikit-learn's, run by joblib on processes, threads or Dask.

No engine of our own: what runs a fit, and where, is `joblib`'s business; the same seed has the same winner on all of
them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from steelfast._arguments import as_choice, as_count, described
from steelfast.estimator import SteelClassifier

__all__ = ["DEFAULT_SETTINGS", "results", "sweep", "workers"]

Search: TypeAlias = Literal["grid", "random", "halving"]
Engine: TypeAlias = Literal["threads", "processes", "dask"]

# around what the classifier has by default
DEFAULT_SETTINGS: Mapping[str, Sequence[Any]] = {
    "learning_rate": (0.003, 0.01, 0.03),
    "l2": (0.0, 0.001, 0.003, 0.01),
    "batch_size": (32, 128),
}

_TIMEOUT = 10  # seconds
_FACTOR = 3  # what halving divides the candidates by; the name comes from dividing by 2


@contextmanager
def workers(engine: Engine = "threads", n_jobs: int | None = None, *, address: str | None = None) -> Iterator[None]:
    """Within this block joblib, and so scikit-learn, works on these.

    Parameters
    ----------
    engine : {"threads", "processes", "dask"}, default "threads"
        Threads start at once and share the rows; an epoch of training holds no lock, what scikit-learn does around it
        holds Python's. Processes take seconds to start, once, and then share nothing: for many cores and long fits.
    n_jobs : int, optional
        How many of them, at least 1; as many as there are cores if not given. A Dask cluster uses all its workers.
    address : str, optional
        Of the scheduler of a Dask cluster, such as "tcp://10.0.0.1:8786"; only with "dask", and needed there. Its
        workers need steelfast in the same version.

    Raises
    ------
    ValueError
        If a parameter is not what it should be.
    OSError
        If no scheduler answers there within ten seconds.
    ModuleNotFoundError
        If "dask" is asked for and not installed.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from steelfast import SteelClassifier, load_steel_plates
    >>> from steelfast.sweeps import workers
    >>> X, y = load_steel_plates(source="twin", return_X_y=True)
    >>> with workers("threads", 2):
    ...     scores = cross_val_score(SteelClassifier(max_epochs=5, random_state=0), X, y)
    >>> len(scores)
    5
    """
    import joblib  # type: ignore[import-untyped]

    as_choice(engine, "engine", get_args(Engine))
    if (engine == "dask") != (address is not None):
        raise ValueError(f"the engine 'dask' needs an address, and no other takes one; got {engine!r} and {address!r}")
    n_jobs = -1 if n_jobs is None else as_count(n_jobs, "n_jobs", 1)
    if engine != "dask":
        with joblib.parallel_config({"processes": "loky", "threads": "threading"}[engine], n_jobs=n_jobs):
            yield
        return
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'a Dask cluster needs distributed: pip install "steelfast[scale]" ({error})', name=error.name
        ) from error
    with _client(Client, str(address)), joblib.parallel_config("dask"):
        yield


def _client(make: Any, address: str) -> Any:
    """A connection to the scheduler; it becomes the one that joblib finds."""
    try:
        return make(address, timeout=_TIMEOUT)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise OSError(f"no Dask scheduler answers at {address}: {reason}") from error


def sweep(
    X: ArrayLike,
    y: ArrayLike,
    settings: Mapping[str, Any] = DEFAULT_SETTINGS,
    *,
    classifier: SteelClassifier | None = None,
    search: Search = "grid",
    n_candidates: int = 20,
    n_folds: int = 5,
    scoring: str = "accuracy",
    seed: int = 0,
    engine: Engine = "threads",
    n_jobs: int | None = None,
    address: str | None = None,
    progress: bool = False,
) -> Any:
    """Find the best settings of a classifier in cross-validation.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    settings : mapping of str to sequence or distribution, default `DEFAULT_SETTINGS`
        For each parameter of the classifier the values to try; unless the search is "grid" also what has a method
        ``rvs``, such as ``scipy.stats.loguniform(1e-3, 0.1)``.
    classifier : SteelClassifier, optional
        Has the other parameters; by default those it has by default. Its `random_state` becomes `seed`.
    search : {"grid", "random", "halving"}, default "grid"
        Try all combinations, or some of them, or some of them in few epochs, the better third of them in three times
        as many, and so on up to `max_epochs`, see Notes.
    n_candidates : int, default 20
        How many combinations are some of them.
    n_folds : int, default 5
        Of the cross-validation: shuffled, with each class in the same proportion in all.
    scoring : str, default "accuracy"
        Name of a score of scikit-learn's, such as "neg_log_loss" or "balanced_accuracy".
    seed : int, default 0
        Of the folds, of what is drawn, and of every training; below 2**32.
    engine, n_jobs, address
        What the fits run on, see `workers`.
    progress : bool, default False
        Show scikit-learn's progress bar, where there is one: from scikit-learn 1.9 on, with rich, and not on Dask,
        which shows its progress itself.

    Returns
    -------
    GridSearchCV, RandomizedSearchCV or HalvingRandomSearchCV
        Fitted: `best_params_`, `best_score_`, `cv_results_`, and `best_estimator_` trained on all rows. The same
        whatever the engine, up to its times.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not what it should be, or if no fit succeeds.

    Warns
    -----
    UserWarning
        If some fits fail, as a large learning rate may; such settings have no score and come last.

    Notes
    -----
    Each round of halving has three times the epochs of the one before, in whole numbers. Of 9 to 26 candidates, as by
    default, there are three rounds, so that the last has the largest multiple of 9 that is at most `max_epochs`: 99 of
    100; below 9 epochs there are fewer rounds. Of 3 to 8 candidates there are two rounds, and so on. `best_params_` has
    the epochs of the last round, and `best_estimator_` is trained for as many.

    Examples
    --------
    >>> from steelfast import load_steel_plates
    >>> from steelfast.sweeps import sweep
    >>> X, y = load_steel_plates(source="twin", return_X_y=True)
    >>> found = sweep(X, y, {"max_epochs": [1, 20]}, engine="threads", n_jobs=2)
    >>> found.best_params_
    {'max_epochs': 20}
    """
    from sklearn.base import clone  # type: ignore[import-untyped]
    from sklearn.exceptions import FitFailedWarning  # type: ignore[import-untyped]

    as_choice(search, "search", get_args(Search))
    as_count(n_folds, "n_folds", 2)
    as_count(n_candidates, "n_candidates", 1)
    seed = as_count(seed, "seed", 0)
    if seed >= 2**32:  # scikit-learn's limit
        raise ValueError(f"seed must be below 2**32, got {seed}")
    base = clone(SteelClassifier() if classifier is None else classifier).set_params(random_state=seed)
    _check_settings(base, settings, search)
    searcher = _searcher(search, base, settings, n_candidates, n_folds, scoring, seed)
    if progress and engine != "dask" and find_spec("sklearn.callback") and find_spec("rich"):
        from sklearn.callback import ProgressBar  # type: ignore[import-untyped]

        searcher.set_callbacks(ProgressBar(max_propagation_depth=0))
    with workers(engine, n_jobs, address=address), warnings.catch_warnings():
        # told below, without the traces; and means over what has no score are none
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite", UserWarning)
        try:
            searcher.fit(X, y)
        except ValueError as error:
            if "fits failed" not in str(error):
                raise
            # after the traces of all of them
            raise ValueError(
                f"every training failed; the last of them: {str(error).strip().splitlines()[-1]}"
            ) from error
    n_failed = int(np.isnan(searcher.cv_results_["mean_test_score"]).sum())
    if n_failed:
        warnings.warn(
            f"{n_failed} of {len(searcher.cv_results_['params'])} settings have no score: their training failed",
            stacklevel=2,
        )
    return searcher


def _check_settings(base: SteelClassifier, settings: Mapping[str, Any], search: str) -> None:
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings must be a mapping of parameters to the values to try, got {described(settings)}")
    if not settings:
        raise ValueError("settings must name at least one parameter to try, got none")
    parameters = base.get_params()
    for name, values in settings.items():
        if name not in parameters:
            raise ValueError(f"settings name {name!r}, wanted one of {', '.join(parameters)}")
        if name == "random_state":
            raise ValueError("settings name 'random_state', which is the seed's")
        if name == "max_epochs" and search == "halving":
            raise ValueError("settings name 'max_epochs', which halving raises by itself: set it in the classifier")
        if hasattr(values, "rvs"):
            if search == "grid":
                raise ValueError(f"settings of {name} are a distribution: a grid needs values, or search='random'")
        elif isinstance(values, str) or not isinstance(values, (Sequence, np.ndarray)) or not len(values):
            raise ValueError(f"settings of {name} must be a sequence of values, got {values!r:.60}")


def _searcher(
    search: str, base: SteelClassifier, settings: Mapping[str, Any], n_candidates: int, n_folds: int, scoring: str,
    seed: int,
) -> Any:  # fmt: skip
    from sklearn.experimental import enable_halving_search_cv  # type: ignore[import-untyped] # noqa: F401
    from sklearn.model_selection import (  # type: ignore[import-untyped]
        GridSearchCV,
        HalvingRandomSearchCV,
        RandomizedSearchCV,
        StratifiedKFold,
    )

    common = {"scoring": scoring, "cv": StratifiedKFold(n_folds, shuffle=True, random_state=seed)}
    space = dict(settings)
    if search == "grid":
        return GridSearchCV(base, space, **common)
    # values that are all listed are drawn without replacement, so there may be fewer of them
    lengths = [math.inf if hasattr(values, "rvs") else len(values) for values in space.values()]
    n_candidates = int(min(n_candidates, math.prod(lengths)))
    if search == "random":
        return RandomizedSearchCV(base, space, n_iter=n_candidates, random_state=seed, **common)
    n_rounds = next(n for n in range(n_candidates + 1) if _FACTOR ** (n + 1) > n_candidates)
    return HalvingRandomSearchCV(
        base,
        space,
        n_candidates=n_candidates,
        factor=_FACTOR,
        resource="max_epochs",
        min_resources=max(1, base.max_epochs // _FACTOR**n_rounds),
        max_resources=base.max_epochs,
        random_state=seed,
        **common,
    )


def results(search: Any, n_best: int | None = None) -> list[dict[str, Any]]:
    """The settings that a sweep tried, best first, as plain data.

    Parameters
    ----------
    search : what `sweep` returned
    n_best : int, optional
        How many of them; all if not given.

    Returns
    -------
    list of dict
        "settings", "score" and "std" over the folds (NaN where a fit failed), "fit_seconds" (mean). Of halving those
        of the last round come first, then those of the round before.

    Examples
    --------
    >>> from steelfast import load_steel_plates
    >>> from steelfast.sweeps import results, sweep
    >>> X, y = load_steel_plates(source="twin", return_X_y=True)
    >>> found = sweep(X, y, {"max_epochs": [1, 20]}, engine="threads", n_jobs=2)
    >>> [each["settings"] for each in results(found)]
    [{'max_epochs': 20}, {'max_epochs': 1}]
    """
    table = search.cv_results_
    ranks = table["rank_test_score"]
    best_first = np.lexsort((ranks, -np.asarray(table.get("iter", np.zeros(len(ranks))))))[:n_best]
    return [
        {
            "settings": dict(table["params"][k]),
            "score": float(table["mean_test_score"][k]),
            "std": float(table["std_test_score"][k]),
            "fit_seconds": float(table["mean_fit_time"][k]),
        }
        for k in best_first
    ]
