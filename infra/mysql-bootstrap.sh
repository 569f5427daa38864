#!/usr/bin/env bash
# Prints mysql-bootstrap.sql with the names and passwords of the environment put in for the
# defaults. Self-contained: the MySQL container runs it as well.
#
#   infra/mysql-bootstrap.sh [DATABASE]
set -euo pipefail

# As the right side of sed's s/// and inside an SQL string.
quoted() { printf '%s' "$1" | sed -e "s/'/''/g" -e 's/[\\&/]/\\&/g'; }

sed -e "s/'shop'@/'$(quoted "${MYSQL_SHOP_USER:-shop}")'@/" \
  -e "s/BY 'shop'/BY '$(quoted "${MYSQL_SHOP_PASSWORD:-shop}")'/" \
  -e "s/'debezium'@/'$(quoted "${MYSQL_DEBEZIUM_USER:-debezium}")'@/" \
  -e "s/BY 'dbz'/BY '$(quoted "${MYSQL_DEBEZIUM_PASSWORD:-dbz}")'/" \
  -e "s/\`shop\`/\`${1:-shop}\`/g" \
  "$(dirname "${BASH_SOURCE[0]}")/mysql-bootstrap.sql"
