"""Stacks as containers on one Docker engine."""
