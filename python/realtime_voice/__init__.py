"""Realtime voice agents on the C audio core: session, tools, Strands glue and a local server."""
