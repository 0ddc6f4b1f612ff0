"""Models to pass on: `pointseg export` and the card that it writes."""
