"""Pictures, pages and windows."""
