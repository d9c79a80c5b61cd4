"""Confluent's schema registry, or any server with its API."""
