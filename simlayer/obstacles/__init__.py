"""Obstacles: rigid things that a body may touch, still or moved by prescribed motions."""
