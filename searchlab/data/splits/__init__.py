"""Split rules: one file each."""
