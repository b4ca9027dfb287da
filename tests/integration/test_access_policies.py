"""The policies of deploy/access on a real S3 server (SeaweedFS) and a real PostgreSQL.

SeaweedFS enforces the same documents that AWS takes, through the same API. Each role does what it
is for, and is refused what is another's.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from platform_assets.commands.metrics import sources_of
from platform_assets.commands.search import search
from platform_assets.commands.state import State, open_instance
from platform_assets.commands.status import status
from platform_assets.provenance import Ledger
from resources import registry
from resources.settings import Settings
from sensors.listings import changed
from tests.servers.postgres import database
from tests.servers.seaweed import BUCKET, Seaweed, seaweed
from tests.spies import Platform

pytestmark = pytest.mark.slow

ACCESS = Path(__file__).resolve().parents[2] / "deploy/access"
LACKING = {"s3:ListBucketMultipartUploads"}
"""Actions of AWS by a name that SeaweedFS does not know."""
OWL = b"# The Barn Owl\n\nThe barn owl hunts voles over meadows by hearing alone.\n"
OBJECT, RECORD, LATEST = "birds/owl.md", "_lakeloom/records/x.json", "_lakeloom/latest/x"


@dataclass
class Roles:
    """An S3 server with a user for each policy."""

    server: Seaweed
    keys: dict[str, dict[str, str]]

    def env(self, role: str) -> dict[str, str]:
        """The variables by which clients act as a role; the empty one may do everything."""
        return {**self.server.env, **self.keys.get(role, {})}

    def client(self, role: str) -> Any:
        import boto3

        env = self.env(role)
        return boto3.client(
            "s3",
            endpoint_url=env["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        )


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    import boto3

    with seaweed(tmp_path_factory.mktemp("seaweed"), "-s3.iam.readOnly=false") as server:
        iam = boto3.client(
            "iam",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=server.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=server.env["AWS_SECRET_ACCESS_KEY"],
        )
        keys = {}
        named = {"BUCKET": BUCKET, "CORPUS": "birds", "LOGS_BUCKET": "logs"}
        for file in sorted((ACCESS / "s3").glob("*.json")):
            policy = json.loads(Template(file.read_text()).substitute(named))
            for statement in policy["Statement"]:
                statement["Action"] = [a for a in statement["Action"] if a not in LACKING]
            iam.create_user(UserName=file.stem)
            iam.put_user_policy(
                UserName=file.stem, PolicyName="role", PolicyDocument=json.dumps(policy)
            )
            key = iam.create_access_key(UserName=file.stem)["AccessKey"]
            keys[file.stem] = {
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            }
        found = Roles(server, keys)
        found.client("").create_bucket(Bucket="logs")
        yield found


CALLS: dict[str, Callable[[Any], Any]] = {
    "list": lambda s3: s3.list_objects_v2(Bucket=BUCKET),
    "read document": lambda s3: s3.get_object(Bucket=BUCKET, Key=OBJECT),
    "read record": lambda s3: s3.get_object(Bucket=BUCKET, Key=RECORD),
    "read latest": lambda s3: s3.get_object(Bucket=BUCKET, Key=LATEST),
    "upload": lambda s3: s3.put_object(Bucket=BUCKET, Key="birds/new.md", Body=b"x"),
    "upload elsewhere": lambda s3: s3.put_object(Bucket=BUCKET, Key="fish/new.md", Body=b"x"),
    "overwrite record": lambda s3: s3.put_object(Bucket=BUCKET, Key=RECORD, Body=b"x"),
    "delete record": lambda s3: s3.delete_object(Bucket=BUCKET, Key=RECORD),
    "delete document": lambda s3: s3.delete_object(Bucket=BUCKET, Key=OBJECT),
    "delete bucket": lambda s3: s3.delete_bucket(Bucket=BUCKET),
    "write log": lambda s3: s3.put_object(Bucket="logs", Key="lakeloom/logs/x", Body=b"x"),
    "write beside logs": lambda s3: s3.put_object(Bucket="logs", Key="x", Body=b"x"),
}
DENIED = r"(?i)denied|forbidden|refuse"
READS = {"list", "read document", "read record", "read latest"}
ALLOWED = {
    "reader": READS,
    "sensor": READS - {"read document"},
    "uploader": {"list", "upload"},
    "runner": READS | {"overwrite record", "delete record"},
    "eraser": READS
    | {"upload", "upload elsewhere", "overwrite record", "delete record", "delete document"},
    "logs": {"write log"},
}


def test_every_policy_is_tried_and_listed() -> None:
    files = {file.stem for file in (ACCESS / "s3").glob("*.json")}
    assert ALLOWED.keys() == files
    docs = (ACCESS.parents[1] / "docs/access.md").read_text()
    assert set(re.findall(r"^\| `s3/(\w+).json`", docs, re.MULTILINE)) == files
    made = re.findall(r"CREATE ROLE (\w+)", "".join(f.read_text() for f in ACCESS.glob("*.sql")))
    assert set(re.findall(r"^\| `(lakeloom_\w+)`", docs, re.MULTILINE)) == set(made)


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_may_do_this_and_nothing_else(roles: Roles, role: str) -> None:
    from botocore.exceptions import ClientError

    admin, mine = roles.client(""), roles.client(role)
    done = set()
    for name, call in CALLS.items():
        for key in (OBJECT, RECORD, LATEST):
            admin.put_object(Bucket=BUCKET, Key=key, Body=b"x")
        try:
            call(mine)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
        else:
            done.add(name)
    assert done == ALLOWED[role]


@pytest.fixture(scope="module")
def databases(postgres_url: str) -> dict[str, str]:
    """URLs of the catalog and of Dagster's database by role; the owner's have made their tables."""
    found = {"catalog": database(postgres_url, "access_catalog")}
    found["dagster"] = database(postgres_url, "access_dagster")
    return found


def applied(url: str, file: str) -> None:
    """Run a file's statements as the superuser."""
    text = "\n".join(
        line for line in (ACCESS / file).read_text().splitlines() if not line.startswith("--")
    )
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in filter(str.strip, text.split(";")):
            connection.execute(sa.text(statement))
    engine.dispose()


def as_role(url: str, role: str) -> str:
    return make_url(url).set(username=role, password="").render_as_string(hide_password=False)


def refused(url: str, statement: str) -> bool:
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(sa.text(statement))
    except sa.exc.ProgrammingError as error:
        if not re.search("permission denied|must be owner", str(error)):
            raise
        return True
    finally:
        engine.dispose()
    return False


@pytest.fixture(scope="module")
def lake(
    roles: Roles, databases: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """A corpus that the owner has prepared and the runner's role has published."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        catalog = databases["catalog"]
        for name, value in {**roles.env(""), "LAKELOOM_LAKE": f"s3://{BUCKET}"}.items():
            patch.setenv(name, value)
        patch.setenv("LAKELOOM_CATALOG", catalog)
        Platform(home, patch).state.warehouse  # noqa: B018 - the owner makes the two tables
        applied(catalog, "catalog.sql")
        roles.client("uploader").put_object(Bucket=BUCKET, Key=OBJECT, Body=OWL)
        for key in ("fish/new.md", "birds/new.md", RECORD, LATEST):
            roles.client("").delete_object(Bucket=BUCKET, Key=key)
        for name, value in roles.env("runner").items():
            patch.setenv(name, value)
        patch.setenv("LAKELOOM_CATALOG", as_role(catalog, "lakeloom_runner"))
        yield Platform(home, patch)


def acting(
    role: str, catalog_role: str, roles: Roles, lake: Platform, patch: pytest.MonkeyPatch
) -> State:
    for name, value in roles.env(role).items():
        patch.setenv(name, value)
    patch.setenv("LAKELOOM_CATALOG", as_role(lake.state.settings.catalog, catalog_role))
    patch.setenv("LAKELOOM_HOME", str(lake.state.settings.home))
    registry._connect.cache_clear()  # connections are kept by their settings, without the keys
    return State(Settings.from_env())


def test_the_runner_publishes_and_the_reader_searches(
    roles: Roles, lake: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.materialize("birds")
    reader = acting("reader", "lakeloom_reader", roles, lake, monkeypatch)
    assert search(reader, "birds", "what hunts voles", 3)["hits"][0]["key"] == "owl.md"
    assert status(reader)["corpora"]["birds"]["documents"] == 1
    faults = {}
    for source in sources_of(reader):
        source.look()
        faults[source.name] = source.fault
    assert set(faults.values()) == {None}, faults
    with pytest.raises(Exception, match=DENIED):
        reader.lake.put(OBJECT, b"overwritten")


def test_the_sensor_sees_changes_and_can_neither_read_documents_nor_delete(
    roles: Roles, lake: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = acting("sensor", "lakeloom_reader", roles, lake, monkeypatch)
    assert changed(sensor.lake, ["birds"], {}).keys() == {"birds"}
    assert Ledger(sensor.lake).latest("checkpoints", "minilm") is not None
    with pytest.raises(Exception, match=DENIED):
        sensor.lake.get(OBJECT)
    with pytest.raises(Exception, match=DENIED):
        sensor.lake.delete(OBJECT)


@pytest.mark.usefixtures("lake")
def test_roles_of_the_catalog(databases: dict[str, str]) -> None:
    reader = as_role(databases["catalog"], "lakeloom_reader")
    runner = as_role(databases["catalog"], "lakeloom_runner")
    insert = "INSERT INTO iceberg_namespace_properties VALUES ('c', 'n', 'k', 'v')"
    assert not refused(reader, "SELECT * FROM iceberg_tables")
    assert not refused(runner, insert)
    for statement in (insert, "DELETE FROM iceberg_tables", "CREATE TABLE mine (n int)"):
        assert refused(reader, statement)
    for statement in ("DROP TABLE iceberg_tables", "CREATE TABLE mine (n int)", "CREATE ROLE me"):
        assert refused(runner, statement)


def test_roles_of_dagsters_database(
    databases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = databases["dagster"]
    storage = {"storage": {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}}
    (tmp_path / "dagster.yaml").write_text(json.dumps(storage))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
    settings = Settings.from_env({"LAKELOOM_HOME": str(tmp_path / "home")})
    (tmp_path / "home").mkdir()
    with open_instance(settings) as instance:
        instance.add_dynamic_partitions("corpus", ["birds"])
    applied(url, "dagster.sql")
    watcher, writer = as_role(url, "lakeloom_watcher"), as_role(url, "lakeloom_dagster")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", writer)
    with open_instance(settings) as instance:
        instance.add_dynamic_partitions("corpus", ["fish"])
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", watcher)
    with open_instance(settings) as instance:
        assert set(instance.get_dynamic_partitions("corpus")) == {"birds", "fish"}
        with pytest.raises(Exception, match="permission denied"):
            instance.add_dynamic_partitions("corpus", ["whales"])
    assert refused(watcher, "DELETE FROM runs")
    assert refused(writer, "DROP TABLE runs")
