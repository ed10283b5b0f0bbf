"""Widgets that know arrays, texts and colours, and nothing of the session."""
