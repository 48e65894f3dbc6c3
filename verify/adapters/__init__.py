"""Drafts of adapters: what can be told of somebody's code by looking at it and running it on numbers of our own."""
