"""Solving for a state: sparse matrices, linear solvers, Newton's method, and derivatives of solutions."""
