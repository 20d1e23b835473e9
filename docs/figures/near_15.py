"""The published losses against their accuracies; the book's loop on features as they are, and standardised."""

import matplotlib.pyplot as plt
import numpy as np

from steelfast import load_steel_plates
from steelfast.experiments import PUBLISHED_RUNS, SEED, published_runs, run

plates = load_steel_plates(source="twin")
deviation = plates.data.std(axis=0)
scaled = (plates.data - plates.data.mean(axis=0)) / np.where(deviation > 0, deviation, 1)

figure, (left, right) = plt.subplots(1, 2)
accuracies = np.linspace(0.28, 0.37, 2)
left.plot(accuracies, -np.log(1e-10) * (1 - accuracies), color="0.6", label="23.03 · (1 − accuracy)")
for number, colour, marker in ((0, "#0072B2", "o"), (1, "#D55E00", "D")):
    epochs = published_runs()[number]["epochs"]
    left.plot(
        [float(epoch["train_accuracy"]) for epoch in epochs],
        [float(epoch["loss"]) for epoch in epochs],
        marker,
        color=colour,
        markersize=4,
        label=f"published run {number + 1}",
    )
left.set_xlabel("Accuracy in training")
left.set_ylabel("Loss")
left.legend()

FEATURES = ((plates.data, "#D55E00", "-", "as they are"), (scaled, "#0072B2", "--", "standardised"))
for data, colour, line, label in FEATURES:
    result = run((data, plates.target), PUBLISHED_RUNS[0], np.random.RandomState(SEED))
    right.plot([epoch.epoch for epoch in result.epochs], [epoch.loss for epoch in result.epochs], line, color=colour)
    right.annotate(label, (6, result.epochs[5].loss * 0.84), color=colour, ha="center", va="top")
right.axhline(np.log(7), color="0.4", linestyle=":")
right.set_yscale("log")
right.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
right.minorticks_off()
right.set_ylim(0.9, 25)
right.set_xlabel("Epoch")
right.set_ylabel("Loss")
