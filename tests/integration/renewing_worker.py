"""
A worker in a process of its own, for tests that need several, or kill it: it reads a page when it is told to.

Its one argument is JSON: ``mongo_uri``, ``database``, ``login_url``, ``client_id``, ``client_secret``, ``threads``;
``stop``: where it stops itself, once ("after the lease", "before the call", "after the call", "after the save");
``clock``: by how many seconds its clock is wrong; ``auth_timeout``; ``lease_seconds``; ``start_seconds``. It writes a
line of JSON for each thing that it does.
"""

import json
import logging
import signal
import sys
import threading
import time

OPTIONS = json.loads(sys.argv[1])

right_time = time.time
time.time = lambda: right_time() + OPTIONS["clock"]

from pymongo import MongoClient  # noqa: E402 - after the clock

from airflow_provider_salesforce_export.exceptions import SalesforceExportError  # noqa: E402
from airflow_provider_salesforce_export.key_collection import stored_token  # noqa: E402
from airflow_provider_salesforce_export.key_collection.collection import KeyCollection  # noqa: E402
from airflow_provider_salesforce_export.key_collection.encryption import KeyEncryption  # noqa: E402
from airflow_provider_salesforce_export.key_collection.key import Account  # noqa: E402
from airflow_provider_salesforce_export.key_collection.lease import Lease  # noqa: E402
from airflow_provider_salesforce_export.key_collection.stored_token import StoredToken  # noqa: E402
from airflow_provider_salesforce_export.salesforce.client import SalesforceClient  # noqa: E402
from airflow_provider_salesforce_export.salesforce.grants import RefreshTokenGrant  # noqa: E402
from airflow_provider_salesforce_export.salesforce.oauth import TokenEndpoint  # noqa: E402

TELLING = threading.Lock()


def tell(**event):
    with TELLING:
        print(json.dumps(event), flush=True)


def stop(place):
    if OPTIONS["stop"] == place:
        OPTIONS["stop"] = None
        tell(stopped=place)
        signal.raise_signal(signal.SIGSTOP)  # stops this thread here; kill() may let it go on for a moment


class StoppingEndpoint(TokenEndpoint):
    def fetch(self, grant, key):
        stop("before the call")
        token = super().fetch(grant, key)
        stop("after the call")
        return token


class Teller(logging.Handler):
    def emit(self, record):
        tell(log=record.getMessage())


def lease(keys, key, seconds, takes=KeyCollection.lease):
    taken = takes(keys, key, seconds)
    stop("after the lease")
    return taken


def save(lease, token, saves=Lease.save):
    saved = saves(lease, token)
    stop("after the save")
    return saved


def new_client(mongo):
    secret = OPTIONS["client_secret"]
    keys = KeyCollection(mongo[OPTIONS["database"]]["integrations.salesforce.key"], KeyEncryption([], secret))
    account = Account(OPTIONS["client_id"], OPTIONS["login_url"].partition("://")[2])
    endpoint = StoppingEndpoint(OPTIONS["login_url"], OPTIONS["client_id"], secret, OPTIONS["auth_timeout"])
    token = StoredToken(keys, account, endpoint, RefreshTokenGrant())
    token._lease_seconds = OPTIONS["lease_seconds"]
    return SalesforceClient(token)


def read_page(client):
    try:
        records = next(client.query("SELECT Id FROM Contact ORDER BY Id LIMIT 5"))
    except SalesforceExportError as error:
        tell(error=type(error).__name__, message=str(error))
    else:
        tell(records=len(records))


def in_threads(work, clients):
    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


KeyCollection.lease = lease
Lease.save = save
stored_token.START_SECONDS = OPTIONS["start_seconds"]
logging.getLogger("airflow_provider_salesforce_export").addHandler(Teller())
logging.getLogger("airflow_provider_salesforce_export").setLevel(logging.INFO)
with MongoClient(OPTIONS["mongo_uri"]) as mongo:
    clients = [new_client(mongo) for _ in range(OPTIONS["threads"])]
    in_threads(lambda client: client.count("SELECT COUNT() FROM Contact"), clients)
    tell(ready=True)
    sys.stdin.readline()
    in_threads(read_page, clients)
