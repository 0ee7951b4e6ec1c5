"""Tests by what they need: unit (nothing), sandbox, simulation, integration, deploy, e2e."""
