"""Fitting the quantities of a rollout to what was seen of a body, and pictures of the outcome."""
