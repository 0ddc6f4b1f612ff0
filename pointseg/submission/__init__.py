"""Submissions to test servers: written and checked."""
