"""Watching: what is new is loaded, the pace is told, and each event is told once to whoever must know."""
