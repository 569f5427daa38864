#!/usr/bin/env bash
# Registers a connector with Kafka Connect, native or in Docker, and waits until it works.
#
#   infra/connector.sh apply FILE [key=value…] | status NAME | delete NAME
#
# key=value replaces a value of the file's configuration, and `name=` the connector's name. Values
# that follow from another follow it: topics begin with the new topic.prefix, and the heartbeat
# goes to the new (single) database. Every connector needs a database.server.id of its own:
#
#   infra/connector.sh apply connectors/orders-connector.json name=other topic.prefix=other \
#     database.include.list=other database.server.id=184055
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CONNECT_URL=http://127.0.0.1:$CONNECT_PORT
APPLY_SECONDS=${APPLY_SECONDS:-90}
SERVER_ERRORS=0

# The configuration to send, from FILE and the overrides.
connector_config() {
  jq --args '
    ($ARGS.positional | map(capture("^(?<key>[^=]+)=(?<value>.*)$")) | from_entries) as $new
    | .config as $old
    | ($old + {name: .name})
    | if $new["topic.prefix"] then
        with_entries(if .key | test("topic|groupId") then
          .value |= (if startswith($old["topic.prefix"] + ".")
            then $new["topic.prefix"] + .[($old["topic.prefix"] | length):] else . end)
        else . end)
      else . end
    | if $new["database.include.list"] then
        .["heartbeat.action.query"] |= sub(" " + $old["database.include.list"] + "\\.";
          " " + $new["database.include.list"] + ".")
      else . end
    | . + $new' "${@:2}" <"$1"
}

# request METHOD PATH [BODY]: sets REPLY_CODE and REPLY_BODY; code 000 when nothing answered.
request() {
  local reply
  reply=$(curl -sS -m 30 -X "$1" -w '\n%{http_code}' ${3:+-H 'Content-Type: application/json' -d "$3"} \
    "$CONNECT_URL$2" 2>&1) || true
  REPLY_CODE=${reply##*$'\n'} REPLY_BODY=${reply%$'\n'*}
}

# 409 is said while the worker rebalances, 404 and 503 while it starts. 500 is also what becomes of a
# wrong password or an unknown value: that does not pass.
put_config() {
  request PUT "/connectors/$1/config" "$2"
  case $REPLY_CODE in
    200 | 201) ;;
    400) die "connect refuses the configuration of $1: $(jq -r '.message // .' <<<"$REPLY_BODY")" ;;
    500)
      ((++SERVER_ERRORS < 20)) ||
        die "connect cannot check the configuration of $1 (a wrong password, an unknown value?); its log says why"
      return 1
      ;;
    *) return 1 ;;
  esac
}

# The states of the connector and its tasks, one a line; empty while there is no task yet.
states() {
  request GET "/connectors/$1/status"
  [[ $REPLY_CODE == 200 ]] || return 1
  jq -r 'if .tasks == [] and .connector.state == "RUNNING" then empty else .connector.state, .tasks[].state end' \
    <<<"$REPLY_BODY"
}

all_running() {
  local found
  found=$(states "$1") || return 1
  [[ -n $found ]] && ! grep -qv '^RUNNING$' <<<"$found"
}

failed() { states "$1" | grep -q '^FAILED$'; }

# Right after a change the status is still the old one: running counts when it is seen several times
# in a row, and a failure when it is still there after some seconds.
running_or_failed() {
  if all_running "$1"; then
    ((++SEEN_RUNNING >= 5))
    return
  fi
  SEEN_RUNNING=0
  ((SECONDS >= SETTLED)) && failed "$1"
}

show_trace() {
  request GET "/connectors/$1/status"
  jq -r '.connector, .tasks[] | select(.state == "FAILED") | .trace' <<<"$REPLY_BODY" >&2 || say "$REPLY_BODY"
}

apply() {
  local config name
  [[ -f ${1:-} ]] || die "usage: infra/connector.sh apply FILE [key=value…]"
  config=$(connector_config "$@") || die "$1 or an override of it cannot be read"
  name=$(jq -r .name <<<"$config")
  wait_until "$APPLY_SECONDS" put_config "$name" "$config" ||
    die "connect at $CONNECT_URL did not take $name: $REPLY_CODE $REPLY_BODY"
  # An unchanged configuration does not wake a task that failed earlier.
  SETTLED=$((SECONDS + 8))
  SEEN_RUNNING=0
  if failed "$name"; then request POST "/connectors/$name/restart?includeTasks=true&onlyFailed=true"; fi
  wait_until "$APPLY_SECONDS" running_or_failed "$name" ||
    die "$name is not running after $APPLY_SECONDS s: $(states "$name" | xargs)"
  if failed "$name"; then
    show_trace "$name"
    die "$name failed, see above"
  fi
  say "connector $name is running"
}

status() {
  request GET "/connectors/$1/status"
  [[ $REPLY_CODE == 200 ]] || die "$1: $REPLY_CODE $REPLY_BODY"
  jq -r '"\(.name) \(.connector.state)", (.tasks[] | "task \(.id) \(.state)")' <<<"$REPLY_BODY"
  all_running "$1" || {
    show_trace "$1"
    return 1
  }
}

delete_connector() {
  request DELETE "/connectors/$1"
  case $REPLY_CODE in
    204 | 404) ;;
    *) return 1 ;;
  esac
}

[[ $# -ge 2 ]] || die "usage: infra/connector.sh apply FILE [key=value…] | status NAME | delete NAME"
case $1 in
  apply) apply "${@:2}" ;;
  status) status "$2" ;;
  delete) wait_until "$APPLY_SECONDS" delete_connector "$2" || die "could not delete $2: $REPLY_CODE $REPLY_BODY" ;;
  *) die "unknown command $1" ;;
esac
