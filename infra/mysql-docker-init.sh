#!/usr/bin/env bash
# Run once by the MySQL image when it makes its data folder.
set -euo pipefail
bash /viewtide/mysql-bootstrap.sh | MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --user=root
