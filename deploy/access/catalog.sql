-- Roles of the catalog's database. Run by psql as its owner's superuser (databases.sh does), once the
-- owner has opened it (`lakeloom upgrade --only-missing` makes the tables), and again after each upgrade.
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SELECT 'CREATE ROLE lakeloom_runner LOGIN' WHERE to_regrole('lakeloom_runner') IS NULL \gexec
SELECT 'CREATE ROLE lakeloom_reader LOGIN' WHERE to_regrole('lakeloom_reader') IS NULL \gexec
GRANT CONNECT ON DATABASE :"DBNAME" TO lakeloom_runner, lakeloom_reader;
GRANT USAGE ON SCHEMA public TO lakeloom_runner, lakeloom_reader;
-- Runs move the pointers to snapshots; they can neither drop nor alter the tables that hold them.
GRANT SELECT, INSERT, UPDATE, DELETE ON iceberg_tables, iceberg_namespace_properties TO lakeloom_runner;
GRANT SELECT ON iceberg_tables, iceberg_namespace_properties TO lakeloom_reader;
