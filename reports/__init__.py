"""The page: what was recorded, as a screen, as Markdown and as one self-contained HTML file."""
