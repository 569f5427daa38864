# shellcheck shell=bash
# What the scripts of the native stack share: settings, messages, waiting, and processes that
# outlive the script which started them. Sourced, never run.

set -euo pipefail

INFRA_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT_DIR=$(dirname "$INFRA_DIR")

# Reads .env without running it. The environment wins, so that a test can override a user's file.
load_env() {
  local line key value
  [[ -f $ROOT_DIR/.env ]] || return 0
  while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^[[:space:]]*([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || continue
    key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]%$'\r'}
    if [[ $value =~ ^\"(.*)\"$ || $value =~ ^\'(.*)\'$ ]]; then value=${BASH_REMATCH[1]}; fi
    [[ -v $key ]] || export "$key=$value"
  done <"$ROOT_DIR/.env"
}
load_env

export STACK_DIR=${STACK_DIR:-$ROOT_DIR/.local}
# Services change their working directory, so a relative folder would mean several.
[[ $STACK_DIR == /* ]] || STACK_DIR=$ROOT_DIR/$STACK_DIR
export MYSQL_PORT=${MYSQL_PORT:-3306}
export KAFKA_PORT=${KAFKA_PORT:-29092}
export KAFKA_CONTROLLER_PORT=${KAFKA_CONTROLLER_PORT:-$((KAFKA_PORT + 1))}
export CONNECT_PORT=${CONNECT_PORT:-8083}
export REGISTRY_PORT=${REGISTRY_PORT:-8081}
export REDIS_PORT=${REDIS_PORT:-6379}
export MYSQL_ROOT_PASSWORD=${MYSQL_ROOT_PASSWORD:-debezium}
export MYSQL_SHOP_USER=${MYSQL_SHOP_USER:-shop}
export MYSQL_SHOP_PASSWORD=${MYSQL_SHOP_PASSWORD:-shop}
export MYSQL_DEBEZIUM_USER=${MYSQL_DEBEZIUM_USER:-debezium}
export MYSQL_DEBEZIUM_PASSWORD=${MYSQL_DEBEZIUM_PASSWORD:-dbz}

CACHE_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/viewtide
RUN_DIR=$STACK_DIR/run
LOG_DIR=$STACK_DIR/logs

# One limit for a record, at producer, broker, topic and consumer alike: 16 MiB.
# shellcheck disable=SC2034  # used by the services
RECORD_BYTES_MAX=16777216

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# wait_until SECONDS COMMAND…: polls until the command succeeds; fails when the time is up.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.2
  done
}

# Serialises everything that starts or stops services of one folder: tests call `up` in parallel.
lock_stack() {
  [[ -z ${STACK_LOCKED:-} ]] || return 0
  mkdir -p "$RUN_DIR" "$LOG_DIR"
  exec 9>"$RUN_DIR/lock"
  flock -n 9 || {
    say "waiting for another start or stop in $STACK_DIR"
    flock -w 300 9 || die "another start or stop in $STACK_DIR has held its lock for 300 s"
  }
  export STACK_LOCKED=1
}

# ---- ports ----

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Whatever can be learned about who listens; empty when the system does not tell.
port_holder() {
  have ss || return 0
  ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/ by \1 (process \2)/p' | head -1
}

# require_port PORT VARIABLE SERVICE
require_port() {
  ! port_open "$1" || die "port $1 for $3 is taken$(port_holder "$1"): stop that or set $2 to a free port"
}

# ---- processes ----
# A pid file holds "PID START-TIME SETTINGS". The start time tells a process from a later one that
# got the same number; the settings tell when a running service is not the one now asked for.

# Field 22 of /proc/PID/stat, counted behind the command, which may itself contain blanks.
process_start() {
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra stat <<<"${stat##*) }"
  [[ ${stat[0]} != Z ]] && printf '%s\n' "${stat[19]}"
}

# Sets DAEMON_PID and DAEMON_SETTINGS; fails when the process is not running.
daemon_running() {
  local start
  DAEMON_PID='' DAEMON_SETTINGS=''
  [[ -f $RUN_DIR/$1.pid ]] || return 1
  read -r DAEMON_PID start DAEMON_SETTINGS <"$RUN_DIR/$1.pid" || return 1
  [[ $DAEMON_PID =~ ^[0-9]+$ && $(process_start "$DAEMON_PID") == "$start" ]]
}

# daemon_start NAME SETTINGS COMMAND…: in a session of its own, so that Ctrl-C does not reach it.
# The process writes its pid file itself before it becomes the command: there is no moment at
# which it runs and nobody knows it.
daemon_start() {
  local name=$1 settings=$2
  shift 2
  mkdir -p "$RUN_DIR" "$LOG_DIR"
  rotate_log "$LOG_DIR/$name.log"
  # shellcheck disable=SC2016  # expanded by the inner shell
  env -u STACK_LOCKED setsid bash -c '
    file=$1 settings=$2; shift 2
    read -r stat </proc/$$/stat; read -ra stat <<<"${stat##*) }"
    printf "%s %s %s\n" "$$" "${stat[19]}" "$settings" >"$file.new" && mv "$file.new" "$file"
    exec "$@"
  ' "$name" "$RUN_DIR/$name.pid" "$settings" "$@" >>"$LOG_DIR/$name.log" 2>&1 </dev/null 9>&- &
  wait_until 10 test -f "$RUN_DIR/$name.pid" || die "could not start $name"
}

rotate_log() {
  local size
  size=$(stat -c %s "$1" 2>/dev/null || echo 0)
  if ((size > 10485760)); then mv "$1" "$1.old"; fi
}

daemon_gone() { ! daemon_running "$1"; }

daemon_stop() {
  if daemon_running "$1"; then
    kill "$DAEMON_PID" 2>/dev/null || true
    if ! wait_until 20 daemon_gone "$1"; then
      say "$1 does not end by itself, killing it"
      kill -9 "$DAEMON_PID" 2>/dev/null || true
      wait_until 10 daemon_gone "$1" || die "$1 (process $DAEMON_PID) cannot be stopped"
    fi
  fi
  rm -f "$RUN_DIR/$1.pid"
}

daemon_status() { # NAME PORT
  if daemon_running "$1"; then
    printf '%-14s running  port %-6s process %s\n' "$1" "$2" "$DAEMON_PID"
  else
    printf '%-14s stopped  port %s\n' "$1" "$2"
    return 1
  fi
}

show_log_tail() {
  say "---- end of $LOG_DIR/$1.log"
  tail -n 25 "$LOG_DIR/$1.log" >&2 2>/dev/null || true
  say "----"
}

# ---- tools ----

# java_bin PROGRAM (java, javac, jar): of the first Java that is new enough and has it; the one on the
# PATH may be an older one.
java_bin() {
  local java program
  for java in "${JAVA_HOME:-/nonexistent}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    [[ -x $java ]] || continue
    program=$(dirname "$(readlink -f "$java")")/$1
    [[ -x $program ]] || continue
    if (($("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1) >= 17)); then
      printf '%s\n' "$program"
      return
    fi
  done
  return 1
}

# cached NAME: the folder in the cache that install.sh fills. Java's are named after what their
# POM says, so that a changed version is fetched and an unchanged one is found; what is compiled
# here, after its sources.
cached() {
  case $1 in
    mysql | redis) printf '%s/%s\n' "$CACHE_DIR" "$1" ;;
    plugins)
      printf '%s/%s-%s\n' "$CACHE_DIR" "$1" \
        "$(cat "$INFRA_DIR"/maven/*/pom.xml "$INFRA_DIR"/connect-plugin/*.java | sha256sum | cut -c1-12)"
      ;;
    *) printf '%s/%s-%s\n' "$CACHE_DIR" "$1" "$(cat "$INFRA_DIR"/maven/*/pom.xml | sha256sum | cut -c1-12)" ;;
  esac
}

# program NAME: from the private folder when there is one, else from the PATH.
program() {
  local folder
  for folder in mysql redis; do
    if [[ -x $(cached $folder)/bin/$1 ]]; then
      printf '%s/bin/%s\n' "$(cached $folder)" "$1"
      return
    fi
  done
  command -v "$1" || die "$1 is missing: run infra/install.sh"
}

# ---- one service ----
# Each service's script sets SERVICE, PORT, PORT_VARIABLE, READY_SECONDS and SETTINGS, and defines
# service_start (starts the daemon) and service_ready (succeeds when it answers).

service_launch() {
  if daemon_running "$SERVICE"; then
    # shellcheck disable=SC2153  # set by the service's script
    [[ $DAEMON_SETTINGS != "$SETTINGS" ]] || return 0
    say "$SERVICE runs with other settings: restarting it"
  fi
  daemon_stop "$SERVICE"
  require_port "$PORT" "$PORT_VARIABLE" "$SERVICE"
  service_start
}

service_ready_or_dead() { daemon_gone "$SERVICE" || service_ready; }

service_await() {
  local begin=$SECONDS
  if wait_until "$READY_SECONDS" service_ready_or_dead && daemon_running "$SERVICE"; then
    say "$(printf '%-9s ready on 127.0.0.1:%s (%s s)' "$SERVICE" "$PORT" $((SECONDS - begin)))"
    return
  fi
  show_log_tail "$SERVICE"
  if daemon_running "$SERVICE"; then
    say "error: $SERVICE did not get ready on port $PORT within $READY_SECONDS s"
  else
    say "error: $SERVICE ended instead of getting ready on port $PORT"
  fi
  daemon_stop "$SERVICE"
  return 1
}

service_main() {
  case ${1:-} in
    launch)
      lock_stack
      service_launch
      ;;
    await) service_await ;;
    up)
      lock_stack
      service_launch
      service_await
      ;;
    down)
      lock_stack
      daemon_stop "$SERVICE"
      ;;
    status) daemon_status "$SERVICE" "$PORT" ;;
    *) die "usage: infra/$SERVICE.sh up|down|status${SERVICE_USAGE:-}" ;;
  esac
}
