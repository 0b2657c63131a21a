"""Sources in S3, asked through a real S3 API."""

import pytest
from servers import s3

from evermix.engines.sources import fetch
from evermix.errors import ServiceError


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with s3(tmp_path_factory.mktemp("s3")) as service:
        yield service


@pytest.fixture
def bucket(service, monkeypatch):
    monkeypatch.setenv("EVERMIX_S3_ENDPOINT_URL", service.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", service.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", service.secret)
    folder = service.buckets / "feeds"
    folder.mkdir(exist_ok=True)
    return folder


def test_an_object_comes_as_it_lies_there(bucket):
    (bucket / "one.csv").write_bytes(b"week,y\r\n2024-01-01,1\r\n")
    got = fetch("s3://feeds/one.csv", "csv")
    assert (got.data, got.rows, got.files) == (b"week,y\r\n2024-01-01,1\r\n", 1, ("one.csv",))


def test_objects_of_a_glob_are_joined_and_a_new_one_is_seen(bucket):
    (bucket / "brand").mkdir()
    (bucket / "brand" / "a.csv").write_bytes(b"week,y\n2024-01-01,1\n")
    assert fetch("s3://feeds/brand/*.csv", "csv").files == ("a.csv",)
    (bucket / "brand" / "b.csv").write_bytes(b"week,y\n2024-01-08,2\n")
    assert fetch("s3://feeds/brand/*.csv", "csv").data == b"week,y\n2024-01-01,1\n2024-01-08,2\n"


@pytest.mark.parametrize("path", ["s3://feeds/none.csv", "s3://feeds/none-*.csv", "s3://nobucket/x.csv"])
def test_a_missing_object_is_a_service_error(bucket, path):
    with pytest.raises(ServiceError, match="nothing there"):
        fetch(path, "csv")


def test_wrong_keys_are_a_service_error_without_the_keys(bucket, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wr0ng")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(ServiceError, match="did not answer") as caught:
        fetch("s3://feeds/one.csv", "csv")
    assert "wr0ng" not in str(caught.value)
