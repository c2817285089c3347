"""Tries of the search for LIX, ours: as choose_weights.py, one line of results/choices each."""
import sys, json
from pathlib import Path
from lixlib.lab.grid import compare
from lixlib.lab.recipe import Recipe
from lixlib.lab.regime import REGIME
RESULTS = Path(__file__).resolve().parents[2] / "results" / "choices"
SETTING = {**REGIME, "splits": ("train", None, "val"), "dataset_options": {**REGIME["dataset_options"], "eval_count": 300}}
D2 = {"taps": ("decode2",), "max_positions": 4096, "window": 8}
TRIES = {
 "winlinall": ("lix-ours", {"lambda_l": 3.0, "lambda_f": 1.0, "feature": {"max_positions": 4096, "window": 8, "kernel": "linear"}}),
 "winlin1": ("lix-ours", {"lambda_l": 3.0, "lambda_f": 1.0, "feature": {**D2, "kernel": "linear"}}),
 "skew01w3": ("rwld", {"weight": 3.0, "skew": 0.1}),
 "skew03w3": ("rwld", {"weight": 3.0, "skew": 0.3}),
 "skew03w6": ("rwld", {"weight": 6.0, "skew": 0.3}),
 "skew05w6": ("rwld", {"weight": 6.0, "skew": 0.5}),
 "g05w6": ("rwld", {"weight": 6.0, "gamma": 0.5}),
 "g075w4": ("rwld", {"weight": 4.0, "gamma": 0.75}),
 "overlap": ("rwld", {"weight": 3.0, "weights": "overlap"}),
 "sided": ("rwld", {"weight": 3.0, "weights": "sided"}),
 "win1": ("lix-ours", {"lambda_l": 3.0, "lambda_f": 1.0, "feature": D2}),
 "win3": ("lix-ours", {"lambda_l": 3.0, "lambda_f": 3.0, "feature": D2}),
 "plain1": ("lix-ours", {"lambda_l": 3.0, "lambda_f": 1.0}),
 "plain3": ("lix-ours", {"lambda_l": 3.0, "lambda_f": 3.0}),
 "arfdwin3": ("lix-ours", {"lambda_l": 0.0, "lambda_f": 3.0, "feature": D2}),
}
def main(args):
    seeds = [int(s) for s in args[0].split(",")]
    asked = [Recipe(method=TRIES[n][0], method_options=TRIES[n][1], seed=s, **SETTING) for n in args[1:] for s in seeds]
    r = compare(asked, results_dir=RESULTS, device="cpu")
    for f in r.failures: print(f.recipe.method, f.error)
if __name__ == "__main__": main(sys.argv[1:])
