"""The commands ``airflow salesforce-export ...``, for people without a browser on the server."""
