"""The main job on embedded defaults: a real mongod, a local Salesforce org, and Airflow."""
