"""Asks a SQL server what a test wants to know; run by the engines' own environment.

Arguments: the server's address, `sc://` for Spark Connect or `grpc://` for Arrow Flight SQL, and
one query an argument; the answers' rows go to standard output as JSON.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any


def by_spark(address: str, queries: Sequence[str]) -> list[list[Sequence[Any]]]:
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.remote(address).getOrCreate()
    return [[list(row) for row in spark.sql(query).collect()] for query in queries]


def by_flight(address: str, queries: Sequence[str]) -> list[list[Sequence[Any]]]:
    from adbc_driver_flightsql import dbapi

    found = []
    with dbapi.connect(address, autocommit=True) as connection, connection.cursor() as cursor:
        for query in queries:
            cursor.execute(query)
            found.append([list(row) for row in cursor.fetchall()])
    return found


if __name__ == "__main__":
    ask = by_spark if sys.argv[1].startswith("sc:") else by_flight
    sys.stdout.write(json.dumps(ask(sys.argv[1], sys.argv[2:])))
