"""`python -m pointseg VERB`, the same as `pointseg VERB`."""

from pointseg.cli import app

app()
