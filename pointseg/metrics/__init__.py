"""How predictions are counted (Confusion) and what the counts mean (Report)."""
