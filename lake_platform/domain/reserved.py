"""Beginnings of names that are the platform's or Hudi's."""

from __future__ import annotations

RESERVED = ("_hoodie_", "_kafka_")
# Columns of ours for what comes; older tables may have such columns of their users.
RESERVED_NOW = (*RESERVED, "_lake_")
