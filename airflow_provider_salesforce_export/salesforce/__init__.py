"""Talks to Salesforce. Imports neither Airflow nor MongoDB."""
