import pytest
import responses


@pytest.fixture
def http():
    """Answer HTTP requests with what the test says, and fail on any other."""
    with responses.RequestsMock() as mock:
        yield mock
