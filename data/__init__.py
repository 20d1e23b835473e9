"""Files that ship with the package.

steel_plates_summary.json
    Figures computed from the Steel Plates Faults table, from which its twin is drawn. For each
    class: how many plates; the quantiles of each feature at `quantile_levels`, rounded to six
    digits; and the rows of the lower triangle of the correlation of the features' normal scores
    Φ⁻¹((rank − ½)/n), ties sharing their mean rank, rounded to three decimals.
published_runs.json
    The figures of the four published runs, as they are printed. The test accuracy of run 4, epoch 9, is printed 0.192,
    probably a misprint; it comes out 0.340.
"""
