"""The checker of annotations at runtime: an int is a float, as everywhere in Python's typing (PEP 484)."""

from beartype import BeartypeConf, beartype

# Numbers from configurations are what was written: `[0, 0, 0.5]`.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
