#!/usr/bin/env bash
# The real services without Docker: MySQL, Redis, Kafka, schema registry and Kafka Connect, on
# loopback, with state and logs in STACK_DIR. Stacks with other ports and folders run side by side.
#
#   infra/stack.sh up [service…] | down [service…] | status | logs [service] | reset
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# In the order in which they start; Connect needs the others.
SERVICES=(mysql redis kafka registry connect)
LAUNCHED=()

service() { "$INFRA_DIR/$1.sh" "$2"; }

known() { [[ " ${SERVICES[*]} " == *" $1 "* ]] || die "unknown service $1 (there are: ${SERVICES[*]})"; }

wanted() { # a service counts when it was named or when none was
  [[ $# == 1 || " ${*:2} " == *" $1 "* ]]
}

# Whatever this call started and did not see ready is stopped, however the call ends.
stop_unfinished() {
  local code=$? name
  trap - EXIT
  for name in "${LAUNCHED[@]}"; do
    daemon_running "$name" || continue
    say "stopping $name, which was not ready"
    service "$name" down || true
  done
  exit "$code"
}

launch() {
  daemon_running "$1" || LAUNCHED+=("$1")
  service "$1" launch
}

await() {
  service "$1" await
  local name rest=()
  for name in "${LAUNCHED[@]}"; do [[ $name == "$1" ]] || rest+=("$name"); done
  LAUNCHED=("${rest[@]}")
}

# All but Connect start together: that halves the time to a running stack.
up() {
  local name
  "$INFRA_DIR/install.sh" services
  lock_stack
  trap stop_unfinished EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  for name in mysql redis kafka registry; do if wanted "$name" "$@"; then launch "$name"; fi; done
  for name in mysql redis kafka registry; do if wanted "$name" "$@"; then await "$name"; fi; done
  if wanted connect "$@"; then
    launch connect
    await connect
  fi
}

down() {
  local index name
  lock_stack
  for ((index = ${#SERVICES[@]} - 1; index >= 0; index--)); do
    name=${SERVICES[index]}
    wanted "$name" "$@" || continue
    if daemon_running "$name"; then say "stopping $name"; fi
    service "$name" down
  done
}

status() {
  local name all=0
  for name in "${SERVICES[@]}"; do service "$name" status || all=1; done
  return $all
}

logs() {
  if [[ $# == 1 ]]; then
    tail -n 200 "$LOG_DIR/$1.log"
  else
    tail -n 20 "$LOG_DIR"/*.log
  fi
}

# Only what the services made: STACK_DIR may hold a user's own files.
reset() {
  down "${SERVICES[@]}"
  (cd "$STACK_DIR" && rm -rf mysql redis kafka registry connect logs)
  say "removed the state of all services in $STACK_DIR"
}

command=${1:-}
[[ $# == 0 ]] || shift
case $command in
  up | down | logs) for name in "$@"; do known "$name"; done ;;&
  up | down | status | logs | reset) "$command" "$@" ;;
  *) die "usage: infra/stack.sh up [service…] | down [service…] | status | logs [service] | reset" ;;
esac
