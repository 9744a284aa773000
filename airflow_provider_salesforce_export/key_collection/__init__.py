"""Keeps OAuth tokens in MongoDB. Imports no Airflow."""
