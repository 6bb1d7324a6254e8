"""Data keys: model, lifecycle, rotation rules, use."""
