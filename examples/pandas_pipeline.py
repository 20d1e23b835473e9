"""SteelClassifier as the last step of a scikit-learn pipeline on a pandas table: `python examples/pandas_pipeline.py`.

The columns are prepared by their names: the type of steel is a category, numbers go as they are or through splines,
which let a linear model bend. Ten-fold cross-validation says what the splines are worth, and the coefficients carry
the names of the columns. Needs pandas; the table is the one that STEELFAST_DATA names, or the synthetic twin.
"""

import os

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer

from steelfast import SteelClassifier, load_steel_plates

CATEGORIES = ["Type_of_Steel"]


def load_frame() -> tuple[pd.DataFrame, pd.Series]:
    """The plates as they would come from a database: named columns, the type of steel and the fault as texts."""
    plates = load_steel_plates(source="auto" if "STEELFAST_DATA" in os.environ else "twin")
    print(plates)
    X = pd.DataFrame(plates.data, columns=plates.feature_names)
    X["Type_of_Steel"] = np.where(X.pop("TypeOfSteel_A300") > X.pop("TypeOfSteel_A400"), "A300", "A400")
    return X, pd.Series([plates.target_names[label] for label in plates.target], name="fault")


def make_model(X: pd.DataFrame, numbers) -> Pipeline:
    columns = make_column_transformer(
        (OneHotEncoder(drop="if_binary", sparse_output=False), CATEGORIES),
        (numbers, [name for name in X if name not in CATEGORIES]),
        verbose_feature_names_out=False,
    )
    # frames go from step to step, so that the classifier learns the names of what reaches it; it scales by itself
    return make_pipeline(columns.set_output(transform="pandas"), SteelClassifier(random_state=0))


X, y = load_frame()
folds = StratifiedKFold(10, shuffle=True, random_state=0)
splines = SplineTransformer(n_knots=4, degree=2, knots="quantile")
for title, numbers in (("numbers as they are", "passthrough"), ("numbers through splines", splines)):
    model = make_model(X, numbers)
    scores = cross_val_score(model, X, y, cv=folds)
    n_columns = model.fit(X, y)[-1].n_features_in_
    print(f"{title}, {n_columns} columns: accuracy {scores.mean():.3f} ± {scores.std():.3f} over {len(scores)} folds")

classifier = model[-1]
weights = pd.DataFrame(classifier.coef_, index=classifier.classes_, columns=classifier.feature_names_in_)
# the pieces of a spline are columns of their own, Pixels_Areas_sp_0 and so on
strengths = weights.abs().T.groupby(lambda name: name.partition("_sp_")[0]).sum()
print("\nthe columns that decide most, by the sum of the sizes of their coefficients:")
for fault in strengths:
    print(f"{fault:>12}: {', '.join(strengths[fault].nlargest(3).index)}")

new_plate = X.iloc[[0]]  # a frame of one row
print(f"\none plate, its columns in another order: {model.predict(new_plate[sorted(new_plate)])[0]}")
