"""Load the steel plates, train, score and predict, in ten lines: `python examples/train.py`.

It runs on your table where STEELFAST_DATA names it, else on the cached download or one from UCI, and on the synthetic
twin where there is no network.
"""

from sklearn.model_selection import train_test_split

from steelfast import SteelClassifier, load_steel_plates

plates = load_steel_plates()
names = [plates.target_names[label] for label in plates.target]
X_train, X_test, y_train, y_test = train_test_split(plates.data, names, test_size=0.2, stratify=names, random_state=0)
model = SteelClassifier(random_state=0).fit(X_train, y_train)
print(plates)
print(f"accuracy on {len(X_test)} plates held out: {model.score(X_test, y_test):.3f}")
for fault, probs in zip(y_test[:3], model.predict_proba(X_test[:3]), strict=True):
    print(f"a plate with {fault} is taken for {model.classes_[probs.argmax()]} with probability {probs.max():.2f}")
