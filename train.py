"""Identify the parameters of a deformable body from observations of it: `python train.py --help`."""

from simlayer.app.main import main

if __name__ == "__main__":
    main()
