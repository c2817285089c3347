"""The regime of the main tables, and what they compare (results/protocol.md says why, and what was declared).

Everybody has the same number of updates, the same class-weighted cross-entropy, a rate that falls to 0, and the moving
average of its weights. The methods' weights were chosen on validation frames by `tools/studies/choose_weights.py`.
"""

REGIME = {
    "size": (48, 160),
    "batch_size": 4,
    "epochs": 100,  # 1600 updates
    "network_options": {"width": 0.5},
    "dataset_options": {"count": 64},
    "unlabelled": 1000,
    "splits": ("train", None, "test"),
    "class_weights": "sqrt",
    "ema": 0.99,
    "precision": "bf16-mixed",
}
# The demo: what fits into four minutes on two cores.
DEMO = {
    **{name: REGIME[name] for name in ("network_options", "dataset_options", "class_weights", "ema")},
    "epochs": 60,
    "unlabelled": 480,
}
SEEDS = (0, 1, 2, 3, 4, 5)
RARE = ("pole", "traffic sign", "traffic light", "pedestrian")  # classes of ToyDrive that tables tell apart
CHOICE_SEEDS = (10, 11)  # which no table uses

# What the paper's text says of its two halves. On `max_positions` it says nothing: what a CPU can pay.
PUBLISHED_LOGIT = {"weighting": "joint", "divergence": "kl", "beta_min": 1.0, "beta_max": 10.0}
PUBLISHED_FEATURE = {"samples": "positions", "max_positions": 64, "adapters": "student"}
PUBLISHED = {
    "dwld": PUBLISHED_LOGIT,
    "arfd": PUBLISHED_FEATURE,
    "lix": {"logit": PUBLISHED_LOGIT, "feature": PUBLISHED_FEATURE},
}
# Options that choose_weights.py multiplies by one factor, and where it starts: a method's own default mostly.
STARTS: dict[str, dict[str, float]] = {
    "kd": {"weight": 1.0},
    "cwkd": {"weight": 1.0},
    "dkd": {"weight": 1.0},
    "dist": {"weight": 1.0},
    "wsld": {"weight": 0.8},
    "dwld": {"weight": 0.5},
    "pseudo-labels": {"weight": 1.0},
    "rwld": {"weight": 3.0},
    "at": {"weight": 20.0},
    "fitnet": {"weight": 6.0},
    "ft": {"weight": 20.0},
    "nst": {"weight": 3.0},
    "rkd": {"weight": 0.006},
    "sp": {"weight": 70.0},
    "vid": {"weight": 30.0},
    "maskd": {"weight": 3.0},
    "diffkd": {"weight": 0.3},
    "afdcd": {"distance_weight": 2e-4, "contrast_weight": 4e-3, "kd_weight": 1.0},
    "pad": {"weight": 0.09},
    "arfd": {"weight": 3.0},
    "lix": {"lambda_l": 0.5, "lambda_f": 3.0},
    "lix-ours": {"lambda_l": 3.0, "lambda_f": 1.0},
    "mean-teacher": {"weight": 30.0},
}
# Options of a method that stay as they are while its weight is chosen.
FIXED: dict[str, dict] = {**PUBLISHED, "dkd": {"beta": 1.0}, "mean-teacher": {"jitter": 0.15, "noise": 0.02}}


def options_of(method: str, weights: dict[str, float]) -> dict:
    """The options of a method in the regime, given its weights: nothing is left to what was tuned elsewhere."""
    return {**FIXED.get(method, {}), **weights}
