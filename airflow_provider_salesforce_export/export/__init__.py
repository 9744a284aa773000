"""The work of an export: plan, pages, manifest. Imports no Airflow: it takes a client and a path."""
