"""The catalog glue://, on the moto emulator alone: no real Glue was ever tried."""

from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from platform_assets.cli import main
from platform_assets.documents.table import DOCUMENTS
from tests.spies import Platform

SECRET = "planted-glue-secret"


@pytest.fixture
def aws(aws_emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Variables of the emulator; returns a lake in a new bucket."""
    bucket = f"lake-{uuid4().hex}"
    for name, value in {
        "AWS_ENDPOINT_URL": aws_emulator,
        "AWS_ACCESS_KEY_ID": "emulated",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.Session().client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}"


def test_documents_are_tables_of_glue_on_the_moto_emulator(
    aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKELOOM_LAKE", aws)
    monkeypatch.setenv("LAKELOOM_CATALOG", "glue://")
    platform = Platform(tmp_path, monkeypatch)
    platform.write("docs", "a.md", "# Tides\n\nTwice a day the water comes and goes.")
    platform.materialize("docs", select="+key:chunks")
    platform.write("docs", "b.md", "# Buoys\n\nGreen buoys are left to starboard.")
    rows = platform.materialize("docs", select="+key:chunks")
    assert rows["chunks", "docs"]["added"] == 1
    assert len(platform.rows(DOCUMENTS, corpus="docs")) == 2
    tables = boto3.Session().client("glue").get_tables(DatabaseName="lakeloom")["TableList"]
    assert {"documents", "chunks"} <= {table["Name"] for table in tables}


def test_it_needs_a_lake_on_s3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKELOOM_HOME", str(tmp_path))
    monkeypatch.setenv("LAKELOOM_CATALOG", "glue://")
    (tmp_path / "lake" / "docs").mkdir(parents=True)
    (tmp_path / "lake" / "docs" / "a.md").write_text("# A")
    with pytest.raises(SystemExit) as ended:
        main(["status"])
    assert ended.value.code == 2
    assert "LAKELOOM_LAKE=s3://" in capsys.readouterr().err
