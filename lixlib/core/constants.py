"""Numbers that the whole library agrees on."""

IGNORE = 255  # the label of a pixel that counts nowhere: in no loss, in no score
