"""Optimisers of others: which runs they are asked to make, and which tabulated variant or known mistake fits them."""
