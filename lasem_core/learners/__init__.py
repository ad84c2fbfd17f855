"""Lifelong learners: one file per method, one protocol (`base.py`)."""
