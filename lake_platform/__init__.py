"""Kafka topics to complete, correct and fresh lake tables."""
