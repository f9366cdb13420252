-- Runs once, when the volume is new: two databases, and four roles that can do no more than they must.
--   optuna_owner  makes and upgrades the tables of studies (service `migrate`)
--   worker        reads and writes their rows; `searchlab migrate --role worker` grants that
--   dashboard     reads them
--   mlflow        owns the other database
\set ON_ERROR_STOP on
SET log_min_error_statement = panic;  -- a statement that fails is not logged: it holds a password
\getenv owner OPTUNA_OWNER_PASSWORD
\getenv worker OPTUNA_WORKER_PASSWORD
\getenv dashboard OPTUNA_DASHBOARD_PASSWORD
\getenv mlflow MLFLOW_DB_PASSWORD
CREATE ROLE optuna_owner LOGIN PASSWORD :'owner';
CREATE ROLE worker LOGIN PASSWORD :'worker';
CREATE ROLE dashboard LOGIN PASSWORD :'dashboard';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
ALTER ROLE dashboard SET default_transaction_read_only = on;

CREATE DATABASE optuna OWNER optuna_owner;
CREATE DATABASE mlflow OWNER mlflow;
REVOKE ALL ON DATABASE optuna, mlflow, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE optuna TO worker, dashboard;

\connect mlflow
REVOKE ALL ON SCHEMA public FROM PUBLIC;

\connect optuna
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO worker, dashboard;
ALTER DEFAULT PRIVILEGES FOR ROLE optuna_owner IN SCHEMA public GRANT SELECT ON TABLES TO dashboard;
