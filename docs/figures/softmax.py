"""Three probabilities while one logit moves."""

import matplotlib.pyplot as plt
import numpy as np

import steelfast

z = np.linspace(-6, 8, 200)
probs = steelfast.softmax(np.column_stack([z, np.full_like(z, 1.0), np.full_like(z, 0.0)]))

figure, ax = plt.subplots(figsize=(6.4, 2.8))
styles = (("#0072B2", "-", "$p_1$"), ("#D55E00", "--", "$p_2$"), ("#009E73", "-.", "$p_3$"))
for p, (colour, line, label) in zip(probs.T, styles, strict=True):
    ax.plot(z, p, line, color=colour, label=label)
ax.set_xlabel("$z_1$, beside $z_2 = 1$ and $z_3 = 0$")
ax.set_ylabel("Probability")
ax.legend()
