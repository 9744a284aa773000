"""``make demo-celery`` as a user runs it: Redis, an S3, and Airflow's CeleryExecutor with two workers."""

import re

import pytest

from tests.system.conftest import read_until, started, wait_until
from tests.system.test_demo import processes_in

pytestmark = pytest.mark.timeout(2400)


def test_where_a_worker_is_killed_the_other_one_ends_the_export_with_one_renewal(checkout):
    with started("demo.many_workers", checkout) as demo:
        shown, _ = demo.communicate(timeout=2000)

    assert demo.returncode == 0, shown
    killed = re.search(r"worker-1 was killed \(SIGKILL\) in the middle of ([12]) of 8 page tasks", shown)
    assert killed, shown
    tries = re.findall(r"pages? [\d-]+ of \d+ · rows [\d,]+-[\d,]+ +try (\d) on (worker-\d)", shown)
    assert len(tries) == 8
    assert sum(number != "1" for number, _ in tries) >= int(killed[1])
    assert all(worker == "worker-2" for number, worker in tries if number != "1")
    assert "Every one of 12,345 records is there exactly once" in shown
    assert "The token was renewed once" in shown
    wait_until(lambda: processes_in(checkout) == [])


def test_the_end_of_the_demo_ends_all_that_it_started(checkout):
    with started("demo.many_workers", checkout) as demo:
        read_until(demo, "Starting Airflow on CeleryExecutor")
        wait_until(lambda: any("redis-server" in command for command in processes_in(checkout)))
        demo.terminate()
        demo.communicate(timeout=300)

    assert demo.returncode == 130
    wait_until(lambda: processes_in(checkout) == [])
