"""What each function of `steelfast.plotting` draws, of the synthetic twin."""

import json
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.inspection import permutation_importance
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split

from steelfast import SteelClassifier, load_steel_plates, plotting

BENCHMARKS = Path("../benchmarks.json")  # figures are drawn in the folder of their script
plates = load_steel_plates(source="twin")
names = np.array(plates.target_names)


@cache
def trained():
    X_train, X_test, y_train, y_test = train_test_split(
        plates.data, plates.target, test_size=0.2, stratify=plates.target, random_state=0
    )
    model = SteelClassifier(max_epochs=60, random_state=0)
    return model.fit(X_train, y_train, validation_data=(X_test, y_test)), X_test, y_test


def learning_curve():
    model, _, _ = trained()
    _, axes = plt.subplots(1, 2)
    for quantity, ax in zip(("loss", "accuracy"), axes, strict=True):
        plotting.learning_curve(model.history_, quantity=quantity, ax=ax)


def confusion_matrix():
    model, X_test, y_test = trained()
    _, ax = plt.subplots(figsize=(5, 4.5))
    plotting.confusion_matrix(names[y_test], names[model.predict(X_test)], ax=ax)


def reliability():
    model, X_test, y_test = trained()
    _, ax = plt.subplots(figsize=(4.5, 4.5))
    plotting.reliability(y_test, model.predict_proba(X_test), ax=ax)


def coefficients():
    model, _, _ = trained()
    _, ax = plt.subplots(figsize=(6, 7))
    plotting.coefficients(model.coef_, feature_names=plates.feature_names, class_names=names, ax=ax)


def importance():
    model, X_test, y_test = trained()
    drops = permutation_importance(model, X_test, y_test, n_repeats=10, random_state=0)
    _, ax = plt.subplots(figsize=(6, 6))
    plotting.importance(drops["importances_mean"], drops["importances_std"], feature_names=plates.feature_names, ax=ax)


def comparison():
    results = []
    for loss in ("softmax_cross_entropy", "sigmoid_mse"):
        for optimizer in ("sgd", "adam"):
            model = SteelClassifier(loss, optimizer, max_epochs=30, random_state=0)
            folds = StratifiedKFold(10, shuffle=True, random_state=0)
            accuracy = cross_val_score(model, plates.data, plates.target, cv=folds)
            results.append({"loss": loss, "optimizer": optimizer, "accuracy": accuracy})
    plotting.comparison(results)


def decision_comparison():
    _, ax = plt.subplots(figsize=(6.4, 4.4))
    plotting.decision_comparison(plates.data, names[plates.target], ax=ax)


def jacobian():
    _, ax = plt.subplots(figsize=(3.6, 3.6))
    plotting.jacobian([2.0, 1.0, 0.0, -1.0], ax=ax)


def speed_ratios():
    measurements = json.loads(BENCHMARKS.read_text(encoding="utf-8"))["measurements"]
    _, ax = plt.subplots(figsize=(6.4, 4.4))
    plotting.speed_ratios([each for each in measurements if each["operation"] == "softmax" and each["ratio"]], ax=ax)
