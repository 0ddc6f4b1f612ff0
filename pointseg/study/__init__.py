"""Studies: the same training under many methods, budgets and seeds, and the page that compares them."""
