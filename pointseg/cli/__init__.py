"""The command line: `pointseg VERB`. Each verb parses its options and calls one function of a room."""

# Each of these files adds its verbs to the app, in this order.
from pointseg.cli import data, training, study, evaluation, prediction, machine  # noqa: I001
from pointseg.cli.app import app

__all__ = ["app", "data", "evaluation", "machine", "prediction", "study", "training"]
