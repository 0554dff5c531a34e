"""What paddock promises to be fast at, measured as ratios within one run; see README.md."""
