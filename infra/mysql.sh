#!/usr/bin/env bash
# MySQL, the source of truth. Row-based binlog with GTIDs; users and the heartbeat table come from
# mysql-bootstrap.sql when the data folder is made.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SERVICE=mysql
PORT=$MYSQL_PORT
PORT_VARIABLE=MYSQL_PORT
READY_SECONDS=60
SETTINGS=$MYSQL_PORT
SERVICE_USAGE='|sql [option…] [database]|database NAME'
DATA=$STACK_DIR/mysql/data

# Statements as root.
mysql_sql() {
  MYSQL_PWD=$MYSQL_ROOT_PASSWORD "$(program mysql)" --no-defaults --host=127.0.0.1 --port="$PORT" \
    --user=root --protocol=tcp --default-character-set=utf8mb4 "$@"
}

# Made aside and renamed: an interrupted initialisation is not taken for a finished one.
mysql_initialize() {
  [[ ! -d $DATA ]] || return 0
  say "mysql     making the data folder"
  rm -rf "$DATA.new"
  mkdir -p "$(dirname "$DATA")"
  {
    "$INFRA_DIR/mysql-bootstrap.sh"
    printf "ALTER USER 'root'@'localhost' IDENTIFIED BY '%s';\n" "${MYSQL_ROOT_PASSWORD//\'/\'\'}"
  } >"$STACK_DIR/mysql/init.sql"
  "$(program mysqld)" --no-defaults --initialize-insecure --user="$(id -un)" --datadir="$DATA.new" \
    --init-file="$STACK_DIR/mysql/init.sql" >>"$LOG_DIR/mysql.log" 2>&1 || {
    show_log_tail mysql
    die "mysql could not make its data folder"
  }
  mv "$DATA.new" "$DATA"
}

service_start() {
  mysql_initialize
  # Left behind by a kill; MySQL would take its number for a live server if any process has it now.
  rm -f "$DATA"/mysql.sock "$DATA"/mysql.sock.lock
  # The socket's path is relative to the data folder: an absolute one may exceed 107 bytes.
  daemon_start mysql "$SETTINGS" "$(program mysqld)" --no-defaults --user="$(id -un)" \
    --datadir="$DATA" --port="$PORT" --bind-address=127.0.0.1 --mysqlx=OFF \
    --socket=mysql.sock --pid-file=mysqld.pid --secure-file-priv=NULL \
    --server-id=1 --log-bin=binlog --gtid-mode=ON --enforce-gtid-consistency=ON \
    --binlog-row-image=FULL --max-allowed-packet=64M \
    --performance-schema=OFF --innodb-buffer-pool-size=128M
}

service_ready() { mysql_sql --connect-timeout=2 -e 'SELECT 1' >/dev/null 2>&1; }

case ${1:-} in
  sql) shift && mysql_sql "$@" ;;
  # A further database that Debezium may capture, with its own heartbeat table.
  database)
    [[ ${2:-} =~ ^[A-Za-z0-9_]+$ ]] || die "usage: infra/mysql.sh database NAME"
    "$INFRA_DIR/mysql-bootstrap.sh" "$2" | mysql_sql
    ;;
  *) service_main "$@" ;;
esac
