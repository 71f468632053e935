"""Pages that people open in a browser: one file each, which loads nothing and sends nothing."""
