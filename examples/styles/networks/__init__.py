"""Networks as their authors write them, each in a style of its own; nothing here knows of gradproof."""
