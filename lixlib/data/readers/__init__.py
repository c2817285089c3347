"""One file for each data set that is read from files."""
