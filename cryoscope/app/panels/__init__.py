"""Panels: each shows a part of the session and calls its verbs; none knows another."""
