"""Turn an Airflow connection into a client of Salesforce."""
