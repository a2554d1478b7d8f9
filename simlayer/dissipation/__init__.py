"""Dissipation: maps on velocities, solved rather than integrated, so that any time step is stable."""
