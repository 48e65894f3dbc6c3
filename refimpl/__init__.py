"""The truth: definitions only, differentiated by SymPy; seen symbolically and in certified arithmetic."""
