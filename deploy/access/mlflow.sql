-- MLflow's role. Run by psql as a superuser (databases.sh does), before MLflow's server first starts:
-- it makes and migrates its tables itself, so its database is its own.
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
SELECT 'CREATE ROLE lakeloom_mlflow LOGIN' WHERE to_regrole('lakeloom_mlflow') IS NULL \gexec
ALTER DATABASE :"DBNAME" OWNER TO lakeloom_mlflow;
