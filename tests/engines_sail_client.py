"""Asks a Spark Connect server what a test wants to know; run by the engines' own environment.

Arguments: the server's address and one query an argument; prints the answers' rows as JSON.
"""

import json
import sys

from pyspark.sql import SparkSession

if __name__ == "__main__":
    spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
    answers = [[list(row) for row in spark.sql(query).collect()] for query in sys.argv[2:]]
    print(json.dumps(answers))
