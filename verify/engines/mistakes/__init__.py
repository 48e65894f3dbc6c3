"""The mistakes that engines make, each as a small change to a reverse pass operation by operation."""
