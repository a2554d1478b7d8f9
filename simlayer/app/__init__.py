"""The command `simlayer-train`: configurations become objects, a fit, and a folder of results.

`main.py` is where it starts; nothing here is meant to be imported by other code.
"""
