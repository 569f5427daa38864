#!/usr/bin/env bash
# Redis, where the documents are served from. Every write is in its append-only file.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SERVICE=redis
PORT=$REDIS_PORT
PORT_VARIABLE=REDIS_PORT
READY_SECONDS=30
SETTINGS=$REDIS_PORT
SERVICE_USAGE='|cli [argument…]|server [argument…]'

redis_cli() { "$(program redis-cli)" -h 127.0.0.1 -p "$PORT" "$@"; }

service_start() {
  mkdir -p "$STACK_DIR/redis"
  daemon_start redis "$SETTINGS" "$(program redis-server)" --port "$PORT" --bind 127.0.0.1 \
    --dir "$STACK_DIR/redis" --appendonly yes --save '' --daemonize no
}

service_ready() { [[ $(redis_cli ping 2>/dev/null) == PONG ]]; }

case ${1:-} in
  cli) shift && redis_cli "$@" ;;
  # A server of the caller's own, in the foreground and apart from the stack.
  server) shift && exec "$(program redis-server)" "$@" ;;
  *) service_main "$@" ;;
esac
