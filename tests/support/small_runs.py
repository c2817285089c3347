"""Options of a run of seconds on a few frames of ToyDrive."""

SMALL = {
    "size": (16, 32),
    "epochs": 1,
    "batch_size": 2,
    "dataset_options": {"count": 4, "eval_count": 2},
    "unlabelled": 4,
}
