-- Roles of the catalog's database. Run as its owner's superuser, once the owner has opened it
-- (`lakeloom status` makes the two tables), with `psql --set ON_ERROR_STOP=1`. Passwords are given
-- by `\password ROLE`, never in a file.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE ROLE lakeloom_runner LOGIN;
CREATE ROLE lakeloom_reader LOGIN;
GRANT USAGE ON SCHEMA public TO lakeloom_runner, lakeloom_reader;
-- Runs move the pointers to snapshots; they can neither drop nor alter the tables that hold them.
GRANT SELECT, INSERT, UPDATE, DELETE ON iceberg_tables, iceberg_namespace_properties TO lakeloom_runner;
GRANT SELECT ON iceberg_tables, iceberg_namespace_properties TO lakeloom_reader;
