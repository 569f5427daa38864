#!/usr/bin/env bash
# From a fresh clone to live documents.
#
#   ./start.sh [--docker|--native]     start everything; may be repeated
#   ./start.sh status                  what runs
#   ./start.sh logs [service]          the end of the logs
#   ./start.sh viewtide ARGUMENTS…     viewtide with the settings of this stack, as in: viewtide verify
#   ./start.sh stop                    stop everything, keep the data
#   ./start.sh reset                   stop everything and remove the data
#   ./start.sh test                    install what is missing and run all tests on services of their own
#
# Docker is used when an engine answers, otherwise the same services from packages (infra/stack.sh).
# Ports, folders and passwords: .env.example.
source "$(dirname "${BASH_SOURCE[0]}")/infra/lib.sh"
cd "$ROOT_DIR"

export API_PORT=${API_PORT:-8001}
CONNECTOR=connectors/orders-connector.json
# Random orders of 1 ≤ id < 42: those of the seed data.
PUSHER_RANGE=(1 42)
DOCUMENTS_URL=http://127.0.0.1:$API_PORT/order_details_mv
STEP='starting'

step() {
  STEP=$1
  say "== $STEP"
}

# ---- native or Docker ----

compose() { docker compose "$@"; }

# The client alone is on many machines: what counts is that an engine answers.
docker_answers() {
  have docker && timeout 10 docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1
}

# The choice is remembered, so that stop and status mean the stack that was started.
choose_mode() {
  local file=$STACK_DIR/mode
  case ${1:-} in
    --docker | --native) MODE=${1#--} ;;
    '') MODE=$(cat "$file" 2>/dev/null || { docker_answers && echo docker || echo native; }) ;;
    *) die "unknown option $1: --docker or --native" ;;
  esac
  if [[ -f $file && $(cat "$file") != "$MODE" ]]; then
    die "a stack in $(cat "$file") mode was started from here: ./start.sh stop first"
  fi
  [[ $MODE != docker ]] || docker_answers || die "no Docker engine with Compose answers (docker info, docker compose version): use --native"
}

# ---- start: what both ways have in common, in order ----

start() {
  choose_mode "$@"
  mkdir -p "$STACK_DIR"
  echo "$MODE" >"$STACK_DIR/mode"
  trap 'failed $?' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  step "installing what is missing"
  "start_tools_$MODE"
  step "starting the services ($MODE)"
  "start_services_$MODE"
  step "making the topics order_updates and viewtide.commands"
  "make_topic_$MODE" order_updates 3
  "make_topic_$MODE" viewtide.commands 1
  step "making the tables"
  "sql_$MODE" <sql/schema.sql
  step "registering the connector"
  infra/connector.sh apply "$CONNECTOR"
  step "loading the seed data"
  "sql_$MODE" <sql/seed.sql
  step "building viewtide"
  "build_$MODE"
  step "starting viewtide and the event pusher"
  "start_app_$MODE"
  step "waiting for the first document"
  wait_for_document
  trap - EXIT
  show_result
}

# Nothing is left half-started in silence: what failed, what runs, how to stop it.
failed() {
  [[ $1 != 0 ]] || return 0
  trap - EXIT
  say ""
  say "start.sh failed while $STEP. What runs now:"
  status >&2 || true
  say "logs: ./start.sh logs [service]   stop: ./start.sh stop   try again: ./start.sh"
  exit "$1"
}

# The address of the first document, which need not be that of order 1: orders can be deleted.
first_document() {
  curl -fsS -m 5 "$DOCUMENTS_URL?limit=1" 2>/dev/null |
    sed -nE "s|^\\[\\{\"order_id\":([0-9]+),.*|$DOCUMENTS_URL/\\1|p"
}

document_there() { [[ -n $(first_document) ]]; }

document_there_or_dead() { document_there || { [[ $MODE == native ]] && daemon_gone viewtide; }; }

wait_for_document() {
  if ! { wait_until 60 document_there_or_dead && document_there; }; then
    if [[ $MODE == native ]]; then show_log_tail viewtide; fi
    die "$DOCUMENTS_URL does not answer with a document: $(curl -sS -m 5 "$DOCUMENTS_URL" 2>&1 || true)"
  fi
}

show_result() {
  local document
  document=$(first_document)
  cat <<RESULT

documents   $DOCUMENTS_URL
tables      http://127.0.0.1:$API_PORT/orders  /users  /addresses  /order_items
MySQL       127.0.0.1:$MYSQL_PORT  (database shop, user $MYSQL_SHOP_USER)
Kafka       127.0.0.1:$KAFKA_PORT
Connect     http://127.0.0.1:$CONNECT_PORT
registry    http://127.0.0.1:$REGISTRY_PORT/apis/ccompat/v7
Redis       127.0.0.1:$REDIS_PORT
logs        ./start.sh logs [service]      stop        ./start.sh stop

$ curl $document
$(curl -fsS -m 5 "$document")
RESULT
}

# ---- native ----

start_tools_native() { infra/install.sh services build; }

start_services_native() { infra/stack.sh up; }

make_topic_native() { infra/kafka.sh topic "$@" >/dev/null 2>&1 || die "could not make the topic $1"; }

sql_native() { infra/mysql.sh sql shop; }

build_native() { cargo build --release --locked; }

# viewtide's settings, from those of the stack.
export_settings() {
  export VIEWTIDE_KAFKA_BROKERS=127.0.0.1:$KAFKA_PORT VIEWTIDE_KAFKA_TOPIC_PREFIX=mysql
  export VIEWTIDE_REGISTRY_URL=http://127.0.0.1:$REGISTRY_PORT/apis/ccompat/v7
  export VIEWTIDE_REDIS_URL=redis://127.0.0.1:$REDIS_PORT
  export VIEWTIDE_CONNECT_URL=http://127.0.0.1:$CONNECT_PORT
  export VIEWTIDE_MYSQL_HOST=127.0.0.1 VIEWTIDE_MYSQL_PORT=$MYSQL_PORT VIEWTIDE_MYSQL_DATABASE=shop
  export VIEWTIDE_MYSQL_USER=$MYSQL_SHOP_USER VIEWTIDE_MYSQL_PASSWORD=$MYSQL_SHOP_PASSWORD
  export VIEWTIDE_API_LISTEN=127.0.0.1:$API_PORT VIEWTIDE_STATE_DIR=$STACK_DIR/state
}

# app NAME COMMAND…: restarted when the program, its configuration or the settings are other ones.
app() {
  local name=$1 settings
  shift
  settings=$({ env | grep '^VIEWTIDE_' | sort; sha256sum "$1" viewtide.toml; find sql -type f -exec sha256sum {} +; echo "$@"; } |
    sha256sum | cut -c1-16)
  if daemon_running "$name" && [[ $DAEMON_SETTINGS == "$settings" ]]; then return; fi
  daemon_stop "$name"
  [[ $name != viewtide ]] || require_port "$API_PORT" API_PORT viewtide
  daemon_start "$name" "$settings" "$@"
}

start_app_native() {
  lock_stack
  export_settings
  app viewtide target/release/viewtide run --config viewtide.toml
  app event-pusher target/release/event-pusher "${PUSHER_RANGE[@]}"
}

stop_native() {
  lock_stack
  daemon_stop event-pusher
  daemon_stop viewtide
  infra/stack.sh down
}

status_native() {
  local all=0
  infra/stack.sh status || all=1
  daemon_status viewtide "$API_PORT" || all=1
  daemon_status event-pusher - || all=1
  return $all
}

logs_native() {
  local service=${1:-}
  if [[ -n $service ]]; then
    [[ -f $LOG_DIR/$service.log ]] || die "no log of $service; there are: $(cd "$LOG_DIR" && printf '%s ' *.log | sed 's/\.log / /g')"
    tail -n 200 "$LOG_DIR/$service.log"
  else
    tail -n 20 "$LOG_DIR"/*.log
  fi
}

viewtide_native() {
  [[ -x target/release/viewtide ]] || die "viewtide is not built: ./start.sh first"
  export_settings
  exec target/release/viewtide "$@"
}

reset_native() {
  stop_native
  infra/stack.sh reset
  rm -rf "$STACK_DIR/state"
}

# ---- Docker ----

start_tools_docker() { infra/install.sh tools; }

start_services_docker() { compose up -d --build --wait mysql kafka redis registry connect; }

make_topic_docker() {
  compose exec -T kafka /opt/kafka/bin/kafka-topics.sh --bootstrap-server kafka:9092 --create --if-not-exists \
    --topic "$1" --partitions "$2" --config cleanup.policy=delete --config retention.ms=-1 \
    --config "max.message.bytes=$RECORD_BYTES_MAX" >/dev/null
}

sql_docker() {
  compose exec -T -e "MYSQL_PWD=$MYSQL_ROOT_PASSWORD" mysql \
    mysql --user=root --default-character-set=utf8mb4 shop
}

build_docker() { compose build viewtide; }

start_app_docker() { compose up -d viewtide event-pusher; }

stop_docker() { compose down; }

status_docker() { compose ps; }

logs_docker() { compose logs --tail "${LOG_LINES:-200}" "$@"; }

viewtide_docker() { compose exec viewtide viewtide "$@"; }

reset_docker() { compose down --volumes; }

# ---- the other commands ----

status() { "status_$MODE"; }

stop() {
  "stop_$MODE"
  rm -f "$STACK_DIR/mode"
  say "stopped"
}

reset() {
  "reset_$MODE"
  rm -f "$STACK_DIR/mode"
  say "removed all data"
}

# ---- tests ----

# Ports and a folder of their own: a running demo is not disturbed.
test_settings() {
  export STACK_DIR=${TEST_STACK_DIR:-$ROOT_DIR/.local/test}
  [[ $STACK_DIR == /* ]] || STACK_DIR=$ROOT_DIR/$STACK_DIR
  export VIEWTIDE_TEST_STACK_DIR=$STACK_DIR
  export MYSQL_PORT=${TEST_MYSQL_PORT:-13306} REDIS_PORT=${TEST_REDIS_PORT:-16379}
  export KAFKA_PORT=${TEST_KAFKA_PORT:-19092}
  export KAFKA_CONTROLLER_PORT=${TEST_KAFKA_CONTROLLER_PORT:-$((KAFKA_PORT + 1))}
  export CONNECT_PORT=${TEST_CONNECT_PORT:-18083} REGISTRY_PORT=${TEST_REGISTRY_PORT:-18081}
  export API_PORT=${TEST_API_PORT:-18001}
}

# The tests run in a process group of their own, so that all of them end when this script is told to.
run_tests() {
  test_settings
  infra/install.sh services build
  trap 'end_tests $?' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  infra/stack.sh up
  set -m
  cargo test --locked --workspace "$@" </dev/null &
  TESTS=$!
  set +m
  wait "$TESTS"
}

end_tests() {
  trap - EXIT
  [[ -z ${TESTS:-} ]] || kill -TERM -- "-$TESTS" 2>/dev/null || true
  infra/stack.sh down
  exit "$1"
}

case ${1:-} in
  '' | --docker | --native) start "$@" ;;
  status | stop | reset)
    choose_mode
    "$1"
    ;;
  logs)
    choose_mode
    "logs_$MODE" "${@:2}"
    ;;
  viewtide)
    choose_mode
    "viewtide_$MODE" "${@:2}"
    ;;
  test) run_tests "${@:2}" ;;
  *) die "usage: ./start.sh [--docker|--native] | status | logs [service] | viewtide … | stop | reset | test" ;;
esac
